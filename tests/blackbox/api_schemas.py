"""The schemas of schemas/api as the black-box tests use them: what an answer or a frame must be."""

import json

import jsonschema

from harness import ROOT

SCHEMAS = ROOT / "schemas" / "api"


def closed(node):
    """The schema with every object that lists its members closed, so that a member that is not in
    the documents is found, which clients are to ignore."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    out = {name: closed(each) for name, each in node.items()}
    if isinstance(out.get("properties"), dict) and "type" in out:
        out.setdefault("additionalProperties", False)
    return out


class Document:
    """An OpenAPI or AsyncAPI document as the server tells it."""

    def __init__(self, document):
        self.root = document
        self._resolver = jsonschema.RefResolver("", closed(document))

    def validator(self, schema):
        return jsonschema.Draft202012Validator(closed(schema), resolver=self._resolver)

    def check(self, name, value):
        """Fails where `value` is not what components.schemas has under this name."""
        self.check_schema({"$ref": f"#/components/schemas/{name}"}, value, name)

    def check_schema(self, schema, value, what):
        errors = [f"{error.json_path}: {error.message}"
                  for error in self.validator(schema).iter_errors(value)]
        assert not errors, f"{what}: {errors}\n{json.dumps(value, ensure_ascii=False)[:2000]}"

    def at(self, ref):
        """What a local $ref names."""
        return self._resolver.resolve(ref)[1]

    def refs(self):
        """Every $ref of the document."""
        def walk(node):
            if isinstance(node, list):
                for each in node:
                    yield from walk(each)
            elif isinstance(node, dict):
                if isinstance(node.get("$ref"), str):
                    yield node["$ref"]
                for each in node.values():
                    yield from walk(each)
        return set(walk(self.root))
