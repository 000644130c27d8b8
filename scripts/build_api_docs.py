#!/usr/bin/python3
"""Makes the files that the server serves under /api/v1/docs.

Usage: build_api_docs.py OUT_FOLDER

openapi.json and asyncapi.json of schemas/api become single documents: the schemas that they name by
file are put into them. The pages of net/api_docs and what they need of the packages that
scripts/setup_npm installed go beside them. Every file is there twice: as it is, and gzipped.
The same input gives the same bytes.
"""

import gzip
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "schemas" / "api"
PAGES = ROOT / "net" / "api_docs"
PACKAGES = ROOT / "build" / "api_docs" / "node_modules"

# Redoc shows its makers' logo, which it fetches from their site. Nothing is fetched from elsewhere.
REDOC_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
EMPTY_IMAGE = b"data:image/gif;base64,R0lGODlhAQABAAAAACw="


def bundled(name):
    """The document `name` with the schemas of the files that it names, as bytes of JSON."""
    document = json.loads((SCHEMAS / name).read_text())
    schemas = document.setdefault("components", {}).setdefault("schemas", {})

    def put_in(file):
        if file in schemas:
            return
        schema = json.loads((SCHEMAS / f"{file}.json").read_text())
        schema.pop("$schema")
        schemas[file] = schema
        resolve(schema)

    def resolve(node):
        if isinstance(node, list):
            for each in node:
                resolve(each)
        elif isinstance(node, dict):
            file, found, rest = str(node.get("$ref", "")).partition(".json")
            if found:
                put_in(file)
                node["$ref"] = f"#/components/schemas/{file}{rest.removeprefix('#')}"
            for each in list(node.values()):
                resolve(each)

    resolve(document)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def redoc():
    script = (PACKAGES / "redoc" / "bundles" / "redoc.standalone.js").read_bytes()
    if script.count(REDOC_LOGO) != 1:
        sys.exit("build_api_docs: Redoc's logo is not where it was; see what this version fetches")
    return script.replace(REDOC_LOGO, EMPTY_IMAGE)


def main(out):
    swagger_ui = PACKAGES / "swagger-ui-dist"
    files = {
        "openapi.json": bundled("openapi.json"),
        "asyncapi.json": bundled("asyncapi.json"),
        "swagger-ui-bundle.js": (swagger_ui / "swagger-ui-bundle.js").read_bytes(),
        "swagger-ui.css": (swagger_ui / "swagger-ui.css").read_bytes(),
        "redoc.standalone.js": redoc(),
    }
    for page in ("docs.html", "docs.js", "redoc.html", "redoc.js"):
        files[page] = (PAGES / page).read_bytes()
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
        (out / f"{name}.gz").write_bytes(gzip.compress(content, 9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
