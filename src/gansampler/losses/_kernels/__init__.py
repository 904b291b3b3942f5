"""How the focal losses are computed.

- ``_class_indices``, ``_class_probabilities`` and ``_sigmoid`` compute a loss together
  with its gradient with respect to the logits. They are the fast forms.
- ``_differentiable`` computes the same losses from differentiable tensor operations.
- ``_autograd`` chooses between the two for each call.
- ``_blocks`` divides large tensors into blocks that fit into the processor's caches.
"""
