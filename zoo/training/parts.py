"""The parts of a net, one after the other from its inputs to its classifier, as its graph has them.

Every path from an input to an output goes through some of the calls: through the end of each residual block, say, but
through no layer within one. Between two such calls lies a part. ResNet-50 has 18, which are its stem, 16 blocks and
its classifier; VGG-16 has one for each of its 16 layers with a kernel. Names play no role, so that a net of a user's
own has its parts too.
"""

import collections
import dataclasses
from collections.abc import Hashable, Mapping, Sequence

import keras

from zoo.errors import RequestError
from zoo.graph import Call, calls, graph_of, no_graph


@dataclasses.dataclass(frozen=True)
class Part:
    """Layers that share a place in the net.

    Attributes:
        layers: those with weights, in the order of the computation.
        parts_after: how many parts lie between this one and the output that it is farthest from, the classifier
            included.
        is_classifier: whether it is the last part before an output.
    """

    layers: tuple[keras.layers.Layer, ...]
    parts_after: int
    is_classifier: bool


def parts_of(model: keras.Model) -> list[Part]:
    """The parts of a net, in the order of the computation; each layer with weights is in exactly one of them.

    A part has a kernel, a variable of rank 2 or more. What has none joins the part before it: a batch normalisation its
    convolution, a last one the last block, and a scale of a siamese net's distance the last layer of its tower. A model
    of several outputs has a classifier for each; a layer on the way to several counts the parts of the longest way. The
    two calls of a shared tower are one, and a layer that is made of others is one.

    Raises:
        RequestError: the model has no graph, or no kernel.
    """
    if graph_of(model) is None:
        raise RequestError(f"{model.name} has {no_graph(model)}; name the layers to freeze")
    graph = _Graph(model)
    part_of: dict[Hashable, int] = {}
    parts: list[tuple[int, bool]] = []
    ends: set[Hashable] = set()
    # From the longest way to the shortest: what a longer one has made a part of stays one.
    for way in sorted(graph.ways(), key=lambda way: len(way.segments), reverse=True):
        for parts_after, segment in enumerate(reversed(way.segments)):
            known = {part_of[node] for node in segment if node in part_of}
            # On a shorter way to the same output the last segment may reach far back.
            is_classifier = parts_after == 0 and (way.end not in ends or not known)
            if is_classifier:
                parts = [(after, before or number in known) for number, (after, before) in enumerate(parts)]
            new = [node for node in segment if node not in part_of]
            if new:
                part_of |= dict.fromkeys(new, len(parts))
                parts.append((parts_after, is_classifier))
        ends.add(way.end)
    if not parts:
        raise RequestError(f"{model.name} has no layer with a kernel, and so no parts")
    layers: dict[int, list[keras.layers.Layer]] = collections.defaultdict(list)
    for node, layer in graph.weighted.items():
        layers[part_of[node]].append(layer)
    return [Part(tuple(found), *parts[number]) for number, found in layers.items()]


@dataclasses.dataclass(frozen=True)
class _Way:
    """The way from an input to an output.

    Attributes:
        end: the node that gives the output.
        segments: the nodes with weights between two nodes that every path goes through, each with a kernel.
    """

    end: Hashable
    segments: list[list[Hashable]]


class _Graph:
    """The calls of a model as nodes, of which those that share their weights are one.

    Attributes:
        weighted: the layers with weights, by their node, in the order of the computation.
    """

    def __init__(self, model: keras.Model):
        found = calls(model)
        node_of = _nodes(found)
        self.weighted: dict[Hashable, keras.layers.Layer] = {}
        self._followers: dict[Hashable, dict[Hashable, None]] = {}
        self._preceding: dict[Hashable, list[Hashable]] = {}
        self._sources: dict[Hashable, None] = {}
        self._ends: dict[Hashable, None] = {}
        for call in found:
            node = node_of[call]
            self._followers.setdefault(node, {})
            self._preceding.setdefault(node, [])
            for tensor in call.inputs:
                self._followers[node_of[tensor.source]][node] = None
                self._preceding[node].append(node_of[tensor.source])
            if not call.inputs:
                self._sources[node] = None
            if any(tensor.is_output for tensor in call.outputs):
                self._ends[node] = None
            if getattr(call.operation, "weights", None):
                self.weighted[node] = call.operation

    def ways(self) -> list[_Way]:
        """One from each input to each output that it reaches, in their order in the model."""
        found = []
        for source in self._sources:
            dominators = _dominators(source, self._followers)
            found += [self._way(source, end, dominators) for end in self._ends if end in dominators]
        return found

    def _way(self, source: Hashable, end: Hashable, dominators: Mapping[Hashable, Hashable]) -> _Way:
        chain = [end]
        while chain[-1] != source:
            chain.append(dominators[chain[-1]])
        segments, seen = [], set()
        for node in reversed(chain):
            # A segment is what leads to its end and to no end before it.
            found = _leading_to(node, self._preceding, seen)
            seen |= found
            segments.append([other for other in self.weighted if other in found and other in dominators])
        return _Way(end, self._with_kernels(segments))

    def _with_kernels(self, segments: list[list[Hashable]]) -> list[list[Hashable]]:
        """The segments; one without a kernel has joined the one before it, or at the beginning the one after it."""
        found: list[list[Hashable]] = []
        waiting: list[Hashable] = []
        for segment in filter(None, segments):
            if any(map(self._has_kernel, segment)):
                found.append(waiting + segment)
                waiting = []
            elif found:
                found[-1] = found[-1] + segment
            else:
                waiting += segment
        return found

    def _has_kernel(self, node: Hashable) -> bool:
        return any(len(variable.shape) > 1 for variable in self.weighted[node].weights)


def _nodes(found: Sequence[Call]) -> dict[Call, Hashable]:
    """The node of each call.

    Calls of one layer with weights are one node; so are those at the same place of a nested model that is called
    several times.
    """
    places = collections.Counter()
    nodes = {}
    for call in found:
        places[call.path] += 1
        inside_of = tuple(
            id(outer.operation) if outer.operation.weights else (id(outer.operation), outer.number)
            for outer in call.path
        )
        shares = bool(getattr(call.operation, "weights", None))
        nodes[call] = id(call.operation) if shares else (inside_of, places[call.path])
    return nodes


def _dominators(source: Hashable, followers: Mapping[Hashable, Mapping[Hashable, None]]) -> dict[Hashable, Hashable]:
    """For each node that is reached from `source` the last other one that every path to it goes through.

    Cooper, Harvey and Kennedy 2001, A simple, fast dominance algorithm. A graph may have circles, where a layer with
    weights is called on what it has put out.
    """
    order = _reverse_postorder(source, followers)
    number = {node: place for place, node in enumerate(order)}
    before: dict[Hashable, list[Hashable]] = {node: [] for node in order}
    for node in order:
        for follower in followers[node]:
            before[follower].append(node)
    found = {source: source}
    changed = True
    while changed:
        changed = False
        for node in order[1:]:
            known = [other for other in before[node] if other in found]
            nearest = known[0]
            for other in known[1:]:
                nearest = _common(nearest, other, found, number)
            if found.get(node) != nearest:
                found[node], changed = nearest, True
    return found


def _common(
    one: Hashable, other: Hashable, found: Mapping[Hashable, Hashable], number: Mapping[Hashable, int]
) -> Hashable:
    """The nearest dominator of two nodes."""
    while one != other:
        if number[one] > number[other]:
            one = found[one]
        else:
            other = found[other]
    return one


def _reverse_postorder(source: Hashable, followers: Mapping[Hashable, Mapping[Hashable, None]]) -> list[Hashable]:
    """The nodes that are reached from `source`, each before those that follow it, where there is no circle."""
    done, seen = [], {source}
    stack = [(source, iter(followers[source]))]
    while stack:
        node, left = stack[-1]
        follower = next((other for other in left if other not in seen), None)
        if follower is None:
            done.append(node)
            stack.pop()
        else:
            seen.add(follower)
            stack.append((follower, iter(followers[follower])))
    return done[::-1]


def _leading_to(end: Hashable, preceding: Mapping[Hashable, Sequence[Hashable]], seen: set[Hashable]) -> set[Hashable]:
    """The nodes from which a path leads to `end`, itself included, but for those that were seen and their paths."""
    found, waiting = {end}, [end]
    while waiting:
        new = {node for node in preceding[waiting.pop()] if node not in found and node not in seen}
        found |= new
        waiting += new
    return found
