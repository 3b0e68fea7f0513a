"""Ray is started without the processes that no sweep needs, and with them where it is another."""

from ray._private import node, parameter

from sweep.ray_internals import only_needed_processes


def test_ray_is_told_to_start_fewer_processes_in_the_block_alone():
    before = parameter.RayParams, node.Node.start_api_server
    with only_needed_processes():
        given = parameter.RayParams(num_cpus=2)
        assert (given.no_monitor, given.include_log_monitor, given.num_cpus) == (True, False, 2)
        assert node.Node.start_api_server(None, include_dashboard=False) is None
    assert (parameter.RayParams, node.Node.start_api_server) == before


def test_a_ray_without_these_names_is_left_as_it_is(monkeypatch):
    class OtherParams:
        """A version's that takes none of the two."""

    monkeypatch.setattr(parameter, "RayParams", OtherParams)
    with only_needed_processes():
        assert parameter.RayParams is OtherParams
    monkeypatch.delattr(node.Node, "start_api_server")
    with only_needed_processes():
        assert not hasattr(node.Node, "start_api_server")
