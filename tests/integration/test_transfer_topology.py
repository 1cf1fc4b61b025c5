"""`mooncake transfer topology`: what is near what, on this machine, on one in a file, and as an operator says."""

import json
import os
import shutil
import subprocess

import pytest

from cluster import BINARY, SLOWDOWN

#: What hwloc calls the kinds of OS devices in its files.
BLOCK, NETWORK, OPENFABRICS = 0, 2, 3


def topology(*arguments, env=None):
    return subprocess.run([str(BINARY), "transfer", "topology", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60 * SLOWDOWN, env={**os.environ, **(env or {})})


def topology_json(*arguments, env=None) -> dict:
    done = topology(*arguments, "--json", env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Machine:
    """A machine as hwloc writes it: two sockets, each with a switch that has a GPU and two RDMA devices, one of them
    without a link; and beside the switch an interface and a drive."""

    def __init__(self):
        self.last_index = 0

    def object(self, kind: str, *inside: str, **attributes) -> str:
        self.last_index += 1
        told = "".join(f' {name}="{value}"' for name, value in attributes.items())
        return f'<object type="{kind}" gp_index="{self.last_index}"{told}>{"".join(inside)}</object>\n'

    def place(self, kind: str, mask: int, *inside: str, **attributes) -> str:
        where = {name: hex(mask) for name in ("cpuset", "complete_cpuset", "nodeset", "complete_nodeset")}
        return self.object(kind, *inside, **where, **attributes)

    def bridge(self, kind: str, *inside: str, **attributes) -> str:
        return self.object("Bridge", *inside, bridge_type=kind, **attributes)

    def pci(self, address: str, device: str, *inside: str) -> str:
        return self.object("PCIDev", *inside, pci_busid=address, pci_type=f"{device} [0000:0000] 00", pci_link_speed="0.0")

    def rdma(self, address: str, name: str, port_state: int) -> str:
        state = f'<info name="Port1State" value="{port_state}"/>'
        return self.pci(address, "0207 [15b3:1019]", self.object("OSDev", state, name=name, osdev_type=OPENFABRICS))

    def socket(self, number: int) -> str:
        mask, bus = 1 << number, f"0000:{8 * number:x}"
        switch = self.bridge(
            "1-1", self.pci(f"{bus}2:00.0", "0302 [10de:2330]"), self.rdma(f"{bus}3:00.0", f"mlx5_{2 * number}", 4),
            self.rdma(f"{bus}4:00.0", f"mlx5_{2 * number + 1}", 1), depth="1", bridge_pci=f"0000:[{8 * number:x}2-{8 * number:x}4]",
            pci_busid=f"{bus}0:01.0", pci_type="0604 [1000:c030] [0000:0000] 00", pci_link_speed="0.0")
        interface = self.object("OSDev", name=f"eth{number}", osdev_type=NETWORK)
        drive = self.object("OSDev", name=f"nvme{number}n1", osdev_type=BLOCK, subtype="Disk")
        root = self.bridge("0-1", switch, self.pci(f"{bus}5:00.0", "0200 [8086:1592]", interface),
                           self.pci(f"{bus}6:00.0", "0108 [144d:a80a]", drive), depth="0",
                           bridge_pci=f"0000:[{8 * number:x}0-{8 * number:x}6]")
        node = self.place("NUMANode", mask, os_index=number, local_memory=1 << 30)
        return self.place("Package", mask, node, self.place("PU", mask, os_index=number), root, os_index=number)

    def xml(self) -> str:
        machine = self.place("Machine", 3, self.socket(0), self.socket(1), os_index=0, allowed_cpuset="0x3",
                             allowed_nodeset="0x3")
        return ('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">\n'
                f'<topology version="2.0">\n{machine}</topology>\n')


@pytest.fixture
def two_sockets(tmp_path) -> dict:
    """The environment in which hwloc sees that machine instead of this one."""
    file = tmp_path / "machine.xml"
    file.write_text(Machine().xml())
    return {"HWLOC_XMLFILE": str(file)}


def test_this_machine_has_memory_and_names_devices_that_it_has():
    found = topology_json()
    assert any(location.startswith("cpu:") for location in found), found
    for name in sum(found["cpu:0"], []):
        assert os.path.exists(f"/sys/class/net/{name}") or os.path.exists(f"/sys/class/infiniband/{name}"), name


def test_devices_are_as_near_as_the_buses_of_the_machine_say(two_sockets):
    found = topology_json(env=two_sockets)
    assert found == {
        "cpu:0": [["mlx5_0", "eth0"], ["mlx5_2", "eth1"]],
        "cpu:1": [["mlx5_2", "eth1"], ["mlx5_0", "eth0"]],
        "cuda:0": [["mlx5_0"], ["eth0", "mlx5_2", "eth1"]],
        "cuda:1": [["mlx5_2"], ["eth1", "mlx5_0", "eth0"]],
        "file:nvme0n1": [["mlx5_0", "eth0"], ["mlx5_2", "eth1"]],
        "file:nvme1n1": [["mlx5_2", "eth1"], ["mlx5_0", "eth0"]],
    }


def test_the_table_says_the_same_as_the_json(two_sockets):
    shown = topology(env=two_sockets)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["memory", "preferred", "secondary"]
    assert lines[1] == "cpu:0         mlx5_0 eth0  mlx5_2 eth1"
    assert len(lines) == 7


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root, for a network of its own")
@pytest.mark.parametrize("up, expected", [(False, []), (True, ["lo"])])
def test_loopback_is_used_only_where_it_is_up_and_there_is_nothing_else(up, expected):
    command = f'{"ip link set lo up && " if up else ""}exec "$0" transfer topology --json'
    done = subprocess.run(["unshare", "--net", "sh", "-c", command, str(BINARY)], capture_output=True, text=True,
                          timeout=60 * SLOWDOWN)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cpu:0"] == [expected, []]


def test_a_file_overrides_what_is_discovered_and_is_echoed(tmp_path):
    wanted = {"cpu:0": [["mlx5_1"], ["mlx5_0", "eth0"]], "cuda:3": [["mlx5_0"], []]}
    file = tmp_path / "topology.json"
    file.write_text(json.dumps(wanted))
    assert topology_json("--topology", file) == wanted
    assert topology_json(env={"MOONCAKE_TRANSFER_TOPOLOGY": str(file)}) == wanted
    again = tmp_path / "again.json"
    assert topology("--topology", file, "--json", again).returncode == 0
    assert topology_json("--topology", again) == wanted


@pytest.mark.parametrize("text, complaint", [
    ('{"cpu:0": [["eth0"],\n []', "line 2"),
    ('{"cpu:0": [["eth0"], ["eth0"]]}', "cpu:0, secondary 1: eth0 is there twice"),
    ('{"gpu:0": [[], []]}', "expected cpu:N, cuda:N or file:NAME"),
])
def test_a_broken_file_is_an_error_that_says_where(tmp_path, text, complaint):
    file = tmp_path / "topology.json"
    file.write_text(text)
    refused = topology("--topology", file)
    assert refused.returncode == 1 and refused.stdout == ""
    assert str(file) in refused.stderr and complaint in refused.stderr, refused.stderr


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    refused = topology("--topology", tmp_path / "none.json")
    assert refused.returncode == 1 and "none.json cannot be read" in refused.stderr


BROKEN = '{"cpu:0": [["eth0"]]}'


PEER = ["--peer", "127.0.0.1:1"]


@pytest.mark.parametrize("command", [
    ["transfer", "serve"], ["transfer", "read", *PEER], ["transfer", "write", *PEER, "--input", __file__],
    ["transfer", "bench", *PEER], ["master"], ["node", "--master", "127.0.0.1:1"]], ids=lambda command: command[:2][-1])
def test_an_engine_does_not_start_with_a_broken_file(tmp_path, command):
    file = tmp_path / "topology.json"
    file.write_text(BROKEN)
    refused = subprocess.run([str(BINARY), *command, "--topology", str(file)], capture_output=True, text=True,
                             timeout=60 * SLOWDOWN)
    assert refused.returncode == 1, refused
    assert str(file) in refused.stderr and "there are 1 classes and not two" in refused.stderr, refused.stderr


#: Two interfaces with an address each; the server is at both, and the bench against it moves short blocks, one at a time.
TWO_RAILS = r"""
set -e
rm -f serve.json
ip link set lo up
ip link add a0 type veth peer name a1
ip address add 10.9.0.1/24 dev a0 && ip link set a0 up
ip address add 10.9.1.1/24 dev a1 && ip link set a1 up
"$0" transfer serve --listen 10.9.0.1:7100 --rails 10.9.1.1:7100 --insecure > serve.json &
server=$!
trap 'kill $server; wait $server' EXIT
while [ ! -s serve.json ]; do kill -0 $server; sleep 0.01; done
"$0" transfer bench --peer 10.9.0.1:7100 --block-bytes 4096 --batch 1 --threads 1 --seconds 0.2 "$@" > /dev/null
"""


def slices_by_rail(tmp_path, *flags) -> dict[str, int]:
    """How many slices of a bench each of the two rails has carried."""
    trace = tmp_path / "trace.json"
    done = subprocess.run(["unshare", "--net", "sh", "-c", TWO_RAILS, str(BINARY), "--trace", str(trace), *map(str, flags)],
                          capture_output=True, text=True, timeout=60 * SLOWDOWN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    slices = [event["name"] for event in json.loads(trace.read_text()) if event.get("cat") == "slice" and event["ph"] == "b"]
    assert slices, "nothing was moved"
    return {rail: sum(name.startswith(f"tcp {rail} ") for name in slices) for rail in ("0", "1")}


@pytest.mark.skipif(shutil.which("unshare") is None or shutil.which("ip") is None or os.geteuid() != 0,
                    reason="needs root and ip, for a network of its own")
def test_the_file_decides_which_interface_carries_the_bytes(tmp_path):
    nodes = open("/sys/devices/system/node/has_memory").read().strip()
    if not nodes.isdigit():
        pytest.skip("memory may be on several nodes")
    pair = ["unshare", "--net", "ip", "link", "add", "a0", "type", "veth", "peer", "name", "a1"]
    if (made := subprocess.run(pair, capture_output=True, text=True, timeout=60 * SLOWDOWN)).returncode != 0:
        pytest.skip(f"needs veth interfaces: {made.stderr}")
    file = tmp_path / "topology.json"
    for near, far in ("a0", "a1"), ("a1", "a0"):
        file.write_text(json.dumps({f"cpu:{nodes}": [[near], [far]]}))
        slices = slices_by_rail(tmp_path, "--topology", file)
        near_slices, far_slices = (slices["0"], slices["1"]) if near == "a0" else (slices["1"], slices["0"])
        assert near_slices > 10 * far_slices, slices  # before both rails have connections, the first takes what comes
