"""Looks for syntax errors in the functions that each line of standard input lists as {root, entries}: in the
files of the folder root that entries names, and in the ones of the function's own that they import at once.
Prints one JSON line an error, which says of which function it is, and {} when it has looked at all of them."""
import ast
import json
import os
import sys

MOST = 2000  # files; a function with more is not read to its end


def installed(root):
    """What pip put beside the code is not the function's own."""
    names = set()
    for entry in os.listdir(root):
        if entry.endswith(".dist-info"):
            try:
                with open(os.path.join(root, entry, "RECORD"), encoding="utf-8") as record:
                    names.update(line.split(",")[0].split("/")[0] for line in record)
            except (OSError, UnicodeDecodeError):
                pass
    return names


def check(nth, root, todo):
    foreign = installed(root)
    seen = set()

    def use(base, words):
        """Notes the files of module words[0].words[1]… below the folder base."""
        for i in range(1, len(words) + 1):
            stem = os.path.join(base, *words[:i])
            for name in (stem + ".py", os.path.join(stem, "__init__.py")):
                rel = os.path.relpath(name, root)
                if os.path.isfile(name) and not rel.startswith("..") and rel.split(os.sep)[0] not in foreign:
                    todo.append(rel)

    while todo and len(seen) < MOST:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        path = os.path.join(root, name)
        try:
            with open(path, "rb") as source:
                tree = ast.parse(source.read(), path)
            compile(tree, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError) as err:
            said = {"function": nth, "file": name, "line": getattr(err, "lineno", 0) or 0, "text": "%s: %s" % (type(err).__name__, getattr(err, "msg", err))}
            print(json.dumps(said))
            continue
        for node in tree.body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    use(root, alias.name.split("."))
            elif isinstance(node, ast.ImportFrom):
                base = root
                if node.level:
                    base = os.path.dirname(path)
                    for _ in range(node.level - 1):
                        base = os.path.dirname(base)
                words = node.module.split(".") if node.module else []
                for alias in node.names:
                    use(base, words + [alias.name])


for line in sys.stdin:
    for nth, function in enumerate(json.loads(line)):
        check(nth, function["root"], function["entries"])
    print("{}", flush=True)
