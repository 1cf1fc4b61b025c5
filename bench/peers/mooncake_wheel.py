"""One process of the Mooncake project's transfer engine (mooncake.txt), over TCP; see moving.py."""

from mooncake.engine import TransferEngine

from moving import BYTES, run


class MooncakeWheel:
    def __init__(self) -> None:
        self.engine = TransferEngine()
        if self.engine.initialize("127.0.0.1", "P2PHANDSHAKE", "tcp", "") != 0:
            raise RuntimeError("TransferEngine.initialize failed")
        self.memory = self.engine.allocate_managed_buffer(BYTES)
        if self.memory == 0:
            raise RuntimeError("TransferEngine.allocate_managed_buffer failed")

    def address(self) -> dict:
        return {"name": f"127.0.0.1:{self.engine.get_rpc_port()}", "start": self.memory}

    def connect(self, address: dict) -> None:
        self.peer = address["name"]
        self.remote = address["start"]  # get_first_buffer_address() names the pool that this lies in

    def fill(self, content: bytes) -> None:
        if self.engine.write_bytes_to_buffer(self.memory, content, BYTES) != 0:
            raise RuntimeError("TransferEngine.write_bytes_to_buffer failed")

    def content(self) -> bytes:
        return self.engine.read_bytes_from_buffer(self.memory, BYTES)

    def batch(self, write: bool, block_bytes: int, blocks: int):
        move = self.engine.batch_transfer_sync_write if write else self.engine.batch_transfer_sync_read
        here = [self.memory + i * block_bytes for i in range(blocks)]
        there = [self.remote + i * block_bytes for i in range(blocks)]
        lengths = [block_bytes] * blocks

        def once() -> None:
            if move(self.peer, here, there, lengths) != 0:
                raise RuntimeError("TransferEngine.batch_transfer_sync failed")

        return once


if __name__ == "__main__":
    run(MooncakeWheel)
