"""What a model is trained for: which part of a batch goes in, the loss, and the metrics.

In training, losses and metrics come as one number per example, so that whoever sums them can weight and distribute
as it likes. In evaluation a task gives its `answers`, a few numbers per example, and makes exact metrics of those of
the whole split at the end, each example counted once whatever the batches and replicas.
"""

from zoo.tasks.base import MIXED, OWN_SHARE, Label, Task
from zoo.tasks.classification import Classification
from zoo.tasks.multi_output import MultiOutput
from zoo.tasks.verification import Triplets, Verification

__all__ = ["MIXED", "OWN_SHARE", "Classification", "Label", "MultiOutput", "Task", "Triplets", "Verification"]
