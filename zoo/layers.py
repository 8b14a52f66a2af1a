"""Layers that Keras lacks, or has in a form that costs time.

They are registered with Keras under the package name `zoo`: a saved model that holds one loads with
`zoo.load_model`, or with plain Keras after `import zoo.layers`. Without that import, and where the zoo is not
installed, Keras says `Could not locate class 'BatchNormalization'`, and where to find it: `'module': 'zoo.layers'`. It
imports no module that a file names but its own. Where there is no zoo, Keras' own layer of that name does the same:

    custom_objects = {"zoo>BatchNormalization": keras.layers.BatchNormalization}
    keras.saving.load_model("model.keras", custom_objects=custom_objects)

and so does `class GroupedConv2D(keras.layers.Conv2D): pass`, whose name says where its weights are in the file.
"""

import functools

import keras


@keras.saving.register_keras_serializable(package="zoo")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation, computed by TensorFlow's fused kernel wherever that gives the same.

    The weights, the configuration and the numbers are those of `keras.layers.BatchNormalization`; only
    the kernel differs (oneDNN on CPU, cuDNN on GPU), and with it the time: on a CPU about a third of a
    ResNet's training step. The kernel takes `(batch, height, width, channels)` in float32, float16 or
    bfloat16 and keeps mean, variance, scale and offset in float32. Everything else goes Keras' own way:
    other ranks and axes, float64, masks, renormalisation, statistics synchronised across replicas, and
    other backends than TensorFlow.
    """

    # cuDNN takes no smaller one.
    _LEAST_EPSILON = 1e-5

    def call(self, inputs, training=None, mask=None):
        """Normalises `inputs`, a `(..., channels)` tensor; the shape and the compute dtype stay."""
        if not self._fusible(inputs, mask):
            return super().call(inputs, training=training, mask=mask)
        return self._fused(inputs, training=bool(training and self.trainable))

    def _fusible(self, inputs, mask) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and mask is None
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and not self.renorm
            and not self.synchronized
            and self.epsilon >= self._LEAST_EPSILON
            and self.compute_dtype in ("float32", "float16", "bfloat16")
            and self.variable_dtype == "float32"
        )

    def _fused(self, inputs, training: bool):
        import tensorflow as tf

        # Read as float32: under mixed precision Keras would otherwise hand them out in half precision.
        gamma, beta, moving_mean, moving_variance = (
            tf.convert_to_tensor(variable.value) if variable is not None else default
            for variable, default in (
                (self.gamma, tf.ones([inputs.shape[-1]])),
                (self.beta, tf.zeros([inputs.shape[-1]])),
                (self.moving_mean, None),
                (self.moving_variance, None),
            )
        )
        empty = tf.zeros([0])
        # The raw operation, because `tf.nn.fused_batch_norm` silently raises an epsilon of 1e-5.
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, self.compute_dtype),
            scale=gamma,
            offset=beta,
            mean=empty if training else moving_mean,
            variance=empty if training else moving_variance,
            epsilon=self.epsilon,
            exponential_avg_factor=1.0,
            is_training=training,
        )
        if training:
            # The kernel returns the unbiased variance, Keras averages the biased one.
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
            variance *= (count - 1.0) / count
            momentum = self.momentum
            self.moving_mean.assign(moving_mean * momentum + mean * (1.0 - momentum))
            self.moving_variance.assign(moving_variance * momentum + variance * (1.0 - momentum))
        return outputs


@keras.saving.register_keras_serializable(package="zoo")
class GroupedConv2D(keras.layers.Conv2D):
    """Keras' convolution in groups, computed by TensorFlow's grouped kernel.

    The weights, the configuration and the numbers are those of `keras.layers.Conv2D(groups=...)`. Keras
    sends groups through XLA, whose convolutions on a CPU take hundreds of times as long. Other backends than
    TensorFlow and images with the channels first go Keras' own way.

    The layer trains and predicts on every CPU, with oneDNN and without. A saved model that holds it has the same
    operations wherever it was written, so it may be served on another kind of CPU. (Only a gradient through an exported
    graph is the writer's: with oneDNN off it exists if it was off there. A `.keras` file has no graph.)
    """

    def call(self, inputs):
        """Convolves `inputs`, `(batch, height, width, channels)`."""
        if keras.backend.backend() != "tensorflow" or self.data_format != "channels_last":
            return super().call(inputs)
        import tensorflow as tf

        # In half precision CPUs differ: some lack kernels, some round every sum. There the rounded numbers meet in
        # float32, and what is summed is rounded once.
        dtype = "float32" if self.compute_dtype != "float64" and _only_cpus() else self.compute_dtype
        outputs = _grouped_convolution(
            tf.cast(inputs, dtype),
            tf.cast(tf.convert_to_tensor(self.kernel), dtype),
            strides=self.strides,
            padding=self.padding.upper(),
            dilations=self.dilation_rate,
        )
        outputs = tf.cast(outputs, self.compute_dtype)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return self.activation(outputs)


def _grouped_convolution(images, kernel, **settings):
    """`tf.nn.conv2d` of as many groups as the kernel's shape says, on every device, with a gradient."""
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(images, kernel):
        outputs = tf.nn.conv2d(images, kernel, **settings)
        # Grappler fuses a convolution with the bias or the batch norm behind it, and without oneDNN the fused kernel
        # takes no groups. It fuses across `tf.identity`, but not across this. The server of a saved model may be a
        # CPU of another kind, so this is here on all of them.
        outputs = tf.ensure_shape(outputs, outputs.shape)

        def gradient(upstream):
            if _has_grouped_gradient(outputs):
                return _gradient_of_one_convolution(images, kernel, upstream, settings)
            return _gradient_of_split(images, kernel, upstream, settings)

        return outputs, gradient

    return convolve(images, kernel)


def _gradient_of_one_convolution(images, kernel, upstream, settings):
    """The gradients of images and kernel by the kernels that take groups."""
    import tensorflow as tf

    height, width = settings["strides"]
    rows, columns = settings["dilations"]
    attributes = {
        "out_backprop": upstream,
        "strides": [1, height, width, 1],
        "padding": settings["padding"],
        "dilations": [1, rows, columns, 1],
    }
    return (
        tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(images), filter=kernel, **attributes),
        tf.raw_ops.Conv2DBackpropFilter(input=images, filter_sizes=tf.shape(kernel), **attributes),
    )


def _gradient_of_split(images, kernel, upstream, settings):
    """The same where no kernel takes groups: each group is a convolution of its own."""
    import tensorflow as tf

    count = images.shape[-1] // kernel.shape[2]
    parts, kernels = tf.split(images, count, axis=-1), tf.split(kernel, count, axis=-1)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([parts, kernels])
        # Unlike `tf.nn.conv2d` it has a gradient with dilation on every CPU. In a graph only the gradient is computed.
        outputs = [tf.nn.convolution(*pair, **settings) for pair in zip(parts, kernels, strict=True)]
    gradients = tape.gradient(outputs, [parts, kernels], output_gradients=tf.split(upstream, count, axis=-1))
    return tuple(tf.concat(part, axis=-1) for part in gradients)


def _only_cpus() -> bool:
    """Whether TensorFlow has no accelerator in this process."""
    import tensorflow as tf

    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


def _has_grouped_gradient(outputs) -> bool:
    """Whether the device of a convolution's outputs has its gradient in groups, too: of the CPUs only some do."""
    import tensorflow as tf

    device = tf.DeviceSpec.from_string(outputs.device).device_type
    # In a graph a tensor knows its device only where the user has named it.
    on_cpu = device == "CPU" or (device is None and _only_cpus())
    return not on_cpu or _cpu_has_grouped_gradient(outputs.dtype)


@functools.cache
def _cpu_has_grouped_gradient(dtype) -> bool:
    """Tries the smallest one: what a CPU has follows from its kind, the environment and how TensorFlow was built."""
    import tensorflow as tf

    with tf.init_scope(), tf.device("CPU:0"):
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=[1, 1, 1, 2],
                filter=tf.ones([1, 1, 1, 2], dtype),
                out_backprop=tf.ones([1, 1, 1, 2], dtype),
                strides=[1, 1, 1, 1],
                padding="VALID",
            )
        except tf.errors.OpError:
            return False
    return True


@keras.saving.register_keras_serializable(package="zoo")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each channel by a power of what its neighbouring channels hold at the same pixel.

    Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks,
    section 3.3: y_c = x_c / (bias + alpha * sum of x_j^2 over |j - c| <= depth_radius) ^ beta. Caffe divides
    its alpha by the size of the window, 2 * depth_radius + 1; TensorFlow and this layer do not.

    The window's sum is a product with a band of ones: on a CPU forward and gradient together take less than
    half the time of `tf.nn.local_response_normalization`, and every backend has it.
    """

    def __init__(self, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        self.depth_radius = depth_radius
        self.bias = bias
        self.alpha = alpha
        self.beta = beta

    def call(self, inputs):
        """Normalises `inputs`, `(..., channels)`; the shape and the dtype stay."""
        place = keras.ops.arange(inputs.shape[-1])
        near = keras.ops.abs(place[:, None] - place[None, :]) <= self.depth_radius
        # The square of 256 is beyond float16.
        x = keras.ops.cast(inputs, "float64" if self.compute_dtype == "float64" else "float32")
        squares = keras.ops.matmul(keras.ops.square(x), keras.ops.cast(near, x.dtype))
        return keras.ops.cast(x * keras.ops.power(self.bias + self.alpha * squares, -self.beta), inputs.dtype)

    def compute_output_shape(self, input_shape):
        """The input's."""
        return input_shape

    def get_config(self) -> dict:
        """The arguments, by which a saved model makes the layer again."""
        own = {"depth_radius": self.depth_radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **own}


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model, each once: those of nested models and of layers that are made of others included."""
    layers = dict.fromkeys(model._flatten_layers(include_self=False))
    return [layer for layer in layers if not isinstance(layer, keras.Model)]


def batch_normalizations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The layers of a model that take statistics of batches in training; those that are frozen do not."""
    normalizing = (layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization))
    return [layer for layer in normalizing if layer.trainable]


def statistics(model: keras.Model) -> list[keras.Variable]:
    """What the layers of a model learn of the batches they see, such as moving means; frozen ones learn nothing."""
    found = {}
    for layer in model._flatten_layers():
        if layer.trainable:
            found |= {id(v): v for v in layer._non_trainable_variables if v.dtype.startswith("float")}
    return [variable for variable in model.non_trainable_variables if id(variable) in found]


def synchronizes(model: keras.Model) -> bool:
    """Whether any batch normalisation of the model reduces across replicas; frozen ones do not."""
    return any(getattr(layer, "synchronized", False) and layer.trainable for layer in all_layers(model))


def has_convolutions(model: keras.Model) -> bool:
    """Whether any layer slides a kernel over its input, so that neighbouring outputs share inputs.

    A layer that cuts its input into patches without overlap, whose stride is its kernel's size, is a dense layer on
    each patch and no such convolution.
    """
    return any(
        hasattr(layer, "kernel_size") and tuple(layer.kernel_size) != tuple(layer.strides)
        for layer in all_layers(model)
    )
