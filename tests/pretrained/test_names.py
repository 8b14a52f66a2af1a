"""Every net that others publish pairs with the names and shapes of its checkpoint, completely both ways.

The names are those of the publishers' libraries, see `make_names.py`.
"""

import collections
import re

import publishers
import pytest
import weightless
from checkpoints import empty, shapes_of

from zoo.pretrained import sources
from zoo.pretrained.layers import layers_by_name
from zoo.pretrained.loading import classes_of, pair, published_names

TABLES = collections.defaultdict(list)
for net in publishers.NETS:
    TABLES[weightless.INFOS[net.model].family, net.table].append(net)
# Of each table the smallest net: with its auxiliary heads, where it has any; one with batch norm and one without.
QUICK = {
    min((not net.aux_heads, weightless.INFOS[net.model].parameters, net.label) for net in nets if net.has_bn == has_bn)[
        2
    ]
    for nets in TABLES.values()
    for has_bn in {net.has_bn for net in nets}
}


def slow_unless(quick):
    return [
        pytest.param(net, id=net.label, marks=() if net.label in quick else pytest.mark.slow) for net in publishers.NETS
    ]


def table_and_model(net, **arguments):
    table = published_names(net.model)[net.table]
    heads = {"aux_heads": True} if net.aux_heads else {}
    return table, weightless.build(net.model, **table.arguments, **heads, **arguments)


@pytest.mark.parametrize("net", slow_unless(QUICK))
def test_every_array_has_its_place(net):
    table, model = table_and_model(net)
    arrays = empty(shapes_of(net))
    pairing = pair(model, table, arrays)
    assert sorted(id(variable) for variable, _ in pairing.values) == sorted(map(id, model.weights))
    assert len({value.key for _, value in pairing.values}) == len(pairing.values)
    left = {*arrays} - {value.key for _, value in pairing.values}
    assert {name for name in left if not name.endswith("num_batches_tracked")} == set()
    for variable, value in pairing.values:
        assert value().shape == tuple(variable.shape)
    assert set(pairing.layers) == set(layers_by_name(model))
    assert pairing.left_new == ()
    assert classes_of(net.model, table, arrays) == 1000


@pytest.mark.parametrize("net", publishers.NETS, ids=lambda net: net.label)
def test_names_alone_say_whose_they_are(net):
    table = sources.of_mapping("a file", empty(shapes_of(net))).published(net.model)
    # Two publishers may have the same names; what else the tables say is then the same too.
    assert table == published_names(net.model)[net.table]


@pytest.mark.parametrize("net", slow_unless(QUICK))
def test_names_of_the_zoos_own_files_are_taken_for_nobodys(net):
    """Keras' files are of that style too."""
    layers = layers_by_name(weightless.build(net.model))
    own = [f"{layer}/{variable.name}" for layer, found in layers.items() for variable in found.weights]
    assert sources.of_mapping("a file", dict.fromkeys(own)).published(net.model) == published_names(net.model)["zoo"]


@pytest.mark.parametrize("nets", TABLES.values(), ids=lambda nets: f"{nets[0].table}-{nets[0].model}")
def test_each_layer_has_one_rule_and_each_rule_a_layer(nets):
    used = collections.Counter()
    for net in nets:
        if net.label in QUICK:
            table, model = table_and_model(net)
            for layer in layers_by_name(model):
                fitting = [rule for rule in table.rules if re.fullmatch(rule, layer)]
                assert len(fitting) == 1, f"{layer} of {net.model} fits {fitting}"
                used.update(fitting)
    assert set(used) == set(table.rules)


def test_every_table_and_every_net_of_it_is_tested():
    tested = {(net.model, net.table) for net in publishers.NETS}
    assert tested == {(name, table) for name in weightless.INFOS for table in published_names(name) if table != "zoo"}


def test_nets_that_only_look_alike_have_no_table():
    """timm's SE-ResNet-18 has wider gates, its legacy one a ReLU before them."""
    for name in ("seresnet18", "seresnet34"):
        assert set(published_names(name)) == {"zoo"}
    assert "torchvision" not in published_names("resnet50_v1")
    assert "keras" not in published_names("resnet50")


@pytest.mark.parametrize(
    "net", slow_unless({"torchvision-resnet18", "torchvision-vgg11", "torchvision-googlenet-aux", "keras-VGG16"})
)
@pytest.mark.parametrize(
    "arguments", [{"num_classes": 10}, {"num_classes": 0}, {"features": True}], ids=["new", "none", "features"]
)
def test_the_classifier_may_be_left_out(net, arguments):
    table, model = table_and_model(net, **arguments)
    arrays = empty(shapes_of(net))
    has_head = arguments.get("num_classes", 0) > 0
    pairing = pair(model, table, arrays, keep_head=not has_head)
    heads = {"logits", "aux1", "aux2"} & {*layers_by_name(model)}
    assert {*pairing.left_new} == (heads if has_head else set())
    left = [variable for name in pairing.left_new for variable in model.get_layer(name).weights]
    assert len(pairing.values) == len(model.weights) - len(left)


@pytest.mark.parametrize("net", [net for net in publishers.NETS if net.aux_heads], ids=lambda net: net.label)
def test_auxiliary_heads_may_be_left_out(net):
    table = published_names(net.model)[net.table]
    model = weightless.build(net.model, **table.arguments)
    pairing = pair(model, table, empty(shapes_of(net)))
    assert len(pairing.values) == len(model.weights)
    assert pairing.left_new == ()
