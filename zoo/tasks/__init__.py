"""What models are trained for. A task owns all in which one kind of learning differs from another.

It reads from a dataset what is learned, makes batches, says what the builder must be given and which inputs and outputs
a model must have, and gives the objective: loss, metrics, and what evaluation answers.

In training, losses and metrics come as one number per example, so that whoever sums them can weight and distribute
as it likes. In evaluation an objective gives its `answers`, a few numbers per example, and makes exact metrics of those
of the whole split at the end, each example counted once whatever the batches and replicas.
"""
