"""One process of NIXL (nixl.txt) with its UCX backend, over what UCX_TLS allows; see moving.py."""

import base64
import ctypes
import mmap
import sys

from nixl_cu12 import nixl_agent, nixl_agent_config

from moving import BYTES, run


class Nixl:
    def __init__(self) -> None:
        # Who waits for its own transfers drives them by asking, and is half as fast with a thread that does so, too.
        self.server = sys.argv[1] == "serve"
        self.agent = nixl_agent(sys.argv[1], nixl_agent_config(enable_prog_thread=self.server, backends=["UCX"]))
        self.memory = mmap.mmap(-1, BYTES)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.agent.register_memory([(self.start, BYTES, 0, "")], "DRAM")

    def address(self) -> dict:
        return {"agent": base64.b64encode(self.agent.get_agent_metadata()).decode(), "start": self.start}

    def connect(self, address: dict) -> None:
        self.peer = self.agent.add_remote_agent(base64.b64decode(address["agent"]))
        self.remote = address["start"]

    def fill(self, content: bytes) -> None:
        self.memory[:] = content

    def content(self) -> bytes:
        return self.memory[:]

    def descriptors(self, start: int, block_bytes: int, blocks: int):
        return self.agent.get_xfer_descs([(start + i * block_bytes, block_bytes, 0) for i in range(blocks)], "DRAM")

    def batch(self, write: bool, block_bytes: int, blocks: int):
        here, there = (self.descriptors(start, block_bytes, blocks) for start in (self.start, self.remote))
        transfer = self.agent.initialize_xfer("WRITE" if write else "READ", here, there, self.peer)

        def once() -> None:
            state = self.agent.transfer(transfer)
            while state == "PROC":
                state = self.agent.check_xfer_state(transfer)
            if state != "DONE":
                raise RuntimeError(f"a transfer ended as {state}")

        return once


if __name__ == "__main__":
    run(Nixl)
