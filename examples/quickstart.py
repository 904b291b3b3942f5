"""The whole pipeline on drawn lesions: over-sample by translation, then classify."""

from imblearn.pipeline import make_pipeline
from sklearn.model_selection import train_test_split

from gansampler import GANOverSampler, TransferClassifier, make_translator
from gansampler.datasets import make_lesions
from gansampler.metrics import clinical_report

X, y = make_lesions(600, weights=(0.85, 0.15), random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

translator = make_translator(n_epochs=4, horizontal_flip=True, verbose=1)
classifier = TransferClassifier(vertical_flip=True, random_state=0)
model = make_pipeline(GANOverSampler(translator=translator, random_state=0), classifier)
model.fit(X_train, y_train)

malignant = model.predict_proba(X_test)[:, list(model.classes_).index("malignant")]
print(clinical_report(y_test == "malignant", y_score=malignant))
