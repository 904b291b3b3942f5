"""The notebooks run on little data, and their stored outputs are complete and tidy."""

import importlib.util
import json
import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "notebooks"
TRANSLATOR = {"IMAGE_SIZE": 32, "TRANSLATOR_EPOCHS": 1, "TRANSLATOR_SECONDS": 60}
# Small values for the names in the cell of the parameters.
SETTINGS = {
    "01_your_folder_balanced": {"N_IMAGES": 16, "IMAGE_SIZE": 32, "N_EPOCHS": 1},
    "02_the_papers_pipeline": {
        **TRANSLATOR,
        "N_IMAGES": 40,
        "N_TRAINING_IMAGES": 16,
        "CLASSIFIER_EPOCHS": 1,
    },
    "03_does_it_help": {**TRANSLATOR, "N_IMAGES": 40, "N_SPLITS": 2},
    "04_focal_loss": {"N_IMAGES": 80, "N_EPOCHS": 4},
    # No step fits into so little time, so that the first run stops.
    "05_larger_than_memory": {
        "N_IMAGES": 16,
        "IMAGE_SIZE": 32,
        "N_EPOCHS": 2,
        "FIRST_SECONDS": 0.001,
    },
}
MAX_BYTES = 300_000

each_notebook = pytest.mark.parametrize("name", SETTINGS)


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def load_execute():
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_outputs_are_tidy(notebook):
    outputs = outputs_of(notebook)
    assert all(output.output_type != "error" for output in outputs)
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            assert "Warning" not in output.text
    # Figures show themselves, and once only.
    for cell in code_cells(notebook):
        pictures = [o for o in cell.outputs if "image/png" in o.get("data", {})]
        assert len(pictures) <= 1


def test_each_notebook_is_tested():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == list(SETTINGS)


@pytest.mark.slow
@each_notebook
def test_notebook_runs(name, tmp_path):
    execute = load_execute().execute
    notebook = execute(FOLDER / f"{name}.ipynb", tmp_path, SETTINGS[name])
    assert_outputs_are_tidy(notebook)
    shown = {kind for o in outputs_of(notebook) for kind in o.get("data", {})}
    assert "image/png" in shown


@each_notebook
def test_stored_outputs_are_complete(name):
    notebook = read(name)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert_outputs_are_tidy(notebook)
    assert any("image/png" in o.get("data", {}) for o in outputs_of(notebook))


@each_notebook
def test_stored_outputs_name_no_folder_of_a_machine(name):
    notebook = read(name)
    stored = [cell.outputs for cell in code_cells(notebook)]
    stored += [cell.metadata for cell in notebook.cells] + [notebook.metadata]
    # A picture is base64, which may contain any word.
    text = re.sub(r'"image/png": "[^"]*"', "", json.dumps(stored))
    for folder in ("/work", "/tmp/", "/root", "/home/", "/Users/"):
        assert folder not in text


@each_notebook
def test_notebook_is_small(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < MAX_BYTES
    assert len(code_cells(read(name))) <= 10


@each_notebook
def test_notebook_begins_with_what_it_needs(name):
    notebook = read(name)
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    needs = r"\*\*You need\*\*.*\*\*Time\*\*: .* minutes? on two CPU cores"
    assert re.search(needs, first.source, re.S)
    tagged = [c for c in notebook.cells if c.metadata.get("tags") == ["parameters"]]
    assert len(tagged) == 1
    assert tagged[0].outputs == []


def test_unknown_parameter_is_refused():
    notebook = read("01_your_folder_balanced")
    with pytest.raises(ValueError, match="must set 'N_IMAGE' once"):
        load_execute().set_parameters(notebook, {"N_IMAGE": 2})
