// The page's part of a build: its program, style and icon under names that change with their content, and the shell that
// names them. A browser loads nothing else.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { type BuildOptions, build, type Metafile } from "esbuild";

const FOLDER = "src/web/page";

interface CompiledPage {
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array }[];
  readonly metafile: Metafile;
}

/** Files of the page begin with `page-`; the shell is `page.html`. Writes nothing. */
export async function compilePage(root: string): Promise<CompiledPage> {
  const options = {
    absWorkingDir: root,
    entryPoints: [`${FOLDER}/main.ts`, `${FOLDER}/page.css`],
    bundle: true,
    platform: "browser",
    format: "esm",
    // What a view loads when it is opened is a chunk of its own.
    splitting: true,
    chunkNames: "page-[name]-[hash]",
    target: ["es2023", "safari17"],
    minify: true,
    outdir: path.join(root, "dist/build"),
    entryNames: "page-[name]-[hash]",
    write: false,
    metafile: true,
    logLevel: "warning",
  } as const satisfies BuildOptions;
  const [{ outputFiles, metafile }, icon, schema, help] = await Promise.all([
    build(options),
    readFile(path.join(root, FOLDER, "icon.svg")),
    readFile(path.join(root, "docs/reference/config.schema.json")),
    readFile(path.join(root, "docs/use/page.md")),
  ]);
  const files = [
    ...outputFiles.map((file) => ({ name: path.basename(file.path), bytes: file.contents })),
    named("page-icon", ".svg", icon),
    // Behind the link Help of each view: the guide of this very version, also without the internet.
    named("page-help", ".md", help),
    // Hints in the editor: loaded when that is opened.
    named(
      "page-config-schema",
      ".json",
      new TextEncoder().encode(JSON.stringify(JSON.parse(schema.toString()))),
    ),
  ];
  const shell = shellOf(files.map(({ name }) => name));
  return { files: [...files, { name: "page.html", bytes: new TextEncoder().encode(shell) }], metafile };
}

function named(name: string, ending: string, bytes: Uint8Array) {
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 8);
  return { name: `${name}-${hash}${ending}`, bytes: new Uint8Array(bytes) };
}

function shellOf(names: readonly string[]): string {
  const at = (form: RegExp): string => {
    const name = names.find((one) => form.test(one));
    if (name === undefined) throw new Error(`the page has no file like ${form}`);
    return `/page/${name}`;
  };
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="config-schema" content="${at(/^page-config-schema-.*\.json$/)}">
<title>Mountaineer</title>
<link rel="help" href="${at(/^page-help-.*\.md$/)}">
<link rel="icon" href="${at(/\.svg$/)}">
<link rel="stylesheet" href="${at(/\.css$/)}">
<script type="module" src="${at(/^page-main-.*\.js$/)}"></script>
</head>
<body>
<div id="page"></div>
<noscript>This page needs JavaScript; mountaineer status shows the same in a terminal.</noscript>
</body>
</html>
`;
}
