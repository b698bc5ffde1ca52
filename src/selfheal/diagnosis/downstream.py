"""Whether the code waits for something that became slow or unreachable, or everything became slow."""

from __future__ import annotations

from selfheal.diagnosis.traces import Growth

# From which ratio a call counts as slower, and which share of the growth it must explain.
SLOWER_CALL = 1.3
SHARE = 0.5
# What client libraries raise where the other side does not answer as it should.
# Ratios of what became slower for one and the same reason differ no more than this.
ALIKE = 1.3
UNREACHABLE = frozenset(
    {
        *("BrokenPipeError", "ConnectionError", "ConnectionAbortedError", "ConnectionRefusedError"),
        *("ConnectionResetError", "TimeoutError", "gaierror", "herror", "SSLError"),
        *("ConnectTimeout", "ConnectError", "ReadTimeout", "ReadError", "WriteTimeout"),
        *("PoolTimeout", "ConnectTimeoutError", "ReadTimeoutError", "NewConnectionError"),
        *("MaxRetryError", "ProtocolError", "RemoteProtocolError", "RemoteDisconnected"),
        *("IncompleteRead", "ServerDisconnectedError", "ClientConnectorError"),
        *("BusyLoadingError", "ServerSelectionTimeoutError", "AutoReconnect", "NoHostAvailable"),
        *("EndpointConnectionError", "NoBrokersAvailable", "AMQPConnectionError"),
    }
)


def is_unreachable(exception_type: str) -> bool:
    """Whether an exception says that another service or a database could not be reached."""
    return exception_type.rpartition(".")[2] in UNREACHABLE


def slower_downstream(growth: Growth, place: tuple[str, str]) -> str | None:
    """What an operation waits for longer though it asks for it as often; None where nothing is.

    A client span that itself takes longer, or the database: the same number of statements,
    each slower.
    """
    node = growth.node(place)
    if node is None or node.growth <= 0:
        return None
    if node.is_remote and node.late_total >= SLOWER_CALL * node.total:
        parents = [edge for edge in growth.edges if edge.child == place]
        if all(not edge.repeats(node) for edge in parents):
            ratio = node.late_total / max(node.total, 1e-9)
            return f"each {place[1]} takes {ratio:.1f} times as long, and is asked for as often"
    edges = sorted(growth.children(place), key=lambda edge: (-edge.growth, edge.child))
    for edge in edges[:1]:
        child = growth.node(edge.child)
        if child is None or not (child.is_query or child.is_remote):
            continue
        slower = child.late_total >= SLOWER_CALL * child.total > 0
        as_often = edge.late_calls <= 1.2 * edge.calls
        if slower and as_often and edge.growth >= SHARE * node.growth:
            ratio = child.late_total / child.total
            return (
                f"each {edge.child[1]} takes {ratio:.1f} times as long, and is asked for as often"
            )
    return None


def slower_all_over(growth: Growth, place: tuple[str, str]) -> str | None:
    """Whether all that an operation does became slower alike: its own code and what answers it.

    Code that changed slows itself down, not the database and the services behind it as
    well. At least two kinds of calls that leave the process are needed to tell.
    """
    reached, pending = set(), [place]
    while pending:
        current = pending.pop()
        if current not in reached:
            reached.add(current)
            pending += [edge.child for edge in growth.children(current)]
    nodes = [node for each in sorted(reached) if (node := growth.node(each)) is not None]
    outward = [node for node in nodes if node.is_query or node.is_remote]
    ratios = [node.late_total / node.total for node in outward if node.total > 0]
    own, late = (
        sum(getattr(node, name) for node in nodes if node not in outward)
        for name in ("own", "late_own")
    )
    if len(ratios) < 2 or len(ratios) < len(outward) or own <= 0:
        return None
    ratios.append(late / own)
    if min(ratios) < SLOWER_CALL or max(ratios) > ALIKE * min(ratios):
        return None
    return (
        f"its own code, the database and the services behind it all take {min(ratios):.1f} to"
        f" {max(ratios):.1f} times as long: the machine or the load changed"
    )
