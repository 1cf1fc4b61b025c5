"""The layer table of src/README.md holds, and includes form no cycle."""

from source_tree import SRC, includes, layer_of, layer_table, sources

TABLE = layer_table()


def test_table_is_read_and_covers_every_file():
    assert len(TABLE) >= 10, TABLE
    assert all(allowed <= TABLE.keys() | {"proto"} for allowed in TABLE.values()), "the table names an unknown layer"
    assert not [str(f) for f in sources() if layer_of(f, TABLE) is None]


def test_every_include_is_allowed_by_the_table():
    broken = []
    for file in sources():
        layer = layer_of(file, TABLE)
        for target in includes(file):
            other = "proto" if target.parts[0] == "proto" else layer_of(target, TABLE)
            # A part of an allowed layer is allowed: serve may use store, hence store/core.
            allowed = TABLE[layer] | {layer}
            if other is None or not any(other == a or other.startswith(a + "/") for a in allowed):
                broken.append(f"{file} includes {target}: {layer} may use {sorted(TABLE[layer])}")
    assert not broken, "\n".join(broken)


def test_quoted_includes_are_written_from_src():
    missing = [f"{file}: {target}" for file in sources() for target in includes(file)
               if target.parts[0] != "proto" and not (SRC / target).exists()]
    assert not missing, "\n".join(missing)


def test_includes_form_no_cycle():
    graph = {file: [t for t in includes(file) if (SRC / t).exists()] for file in sources()}
    done, path = set(), []

    def visit(file):
        assert file not in path, "cycle: " + " -> ".join(map(str, path[path.index(file):] + [file]))
        if file in done:
            return
        path.append(file)
        for target in graph.get(file, []):
            visit(target)
        path.pop()
        done.add(file)

    for file in graph:
        visit(file)
