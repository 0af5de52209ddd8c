// What a build consists of: the bundled programs, the shell programs they start, and the package's name and version.
// Everything the programs import is inside, save what LEFT_OUTSIDE names, so that no running process needs node_modules.
import { readFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import path from "node:path";
import { type BuildOptions, build, type Metafile, type Plugin } from "esbuild";
import { compilePage } from "./compile-page.ts";

/** Programs that share their code in chunks, which are loaded when they are needed. */
const PROGRAMS = [
  "src/cli/command-line.ts",
  "src/daemon/without-daemon.ts",
  "src/demo/stage/warden.ts",
  "src/demo/stage/cable-thread.ts",
  "src/demo/stage/cable-silence.ts",
];

/**
 * Programs that are one file each: the program's entry, and those that the daemon starts. They load no other file of the
 * build, as the daemon checks only that one before (build-copy.ts); the entry loads the script or the commands.
 */
const SINGLE_FILE_PROGRAMS = [
  "src/cli/main.ts",
  "src/config/worker/load-child.ts",
  "src/daemon/control/connection-child.ts",
  "src/gateway/catalog/schema-thread.ts",
  "src/gateway/scripts/thread/script-thread.ts",
  "src/network/listen/darwin/scdynamicstore-worker.ts",
  "src/network/listen/linux/rtnetlink-worker.ts",
  "src/secrets/secret-file-child.ts",
  "src/shares/drivers/netfs/netfs-child.ts",
  "src/shares/prober/prober-child.ts",
];

/**
 * The daemon, and the commands that run often: one script each, so that Node keeps the compiled code of all that they need
 * (cli/main.ts). What such a command loads if no daemon runs is left to modules.
 */
const SCRIPTS = ["src/cli/daemon.ts", "src/cli/plain.ts"];

/** Their sources. */
export const PROGRAM_SOURCES: readonly string[] = [...PROGRAMS, ...SINGLE_FILE_PROGRAMS, ...SCRIPTS];

/** Shell programs that lie beside the bundled ones. */
const SHELL_PROGRAMS = ["bin/backend-launch.sh", "bin/backend-warden.sh"];

/** Code that programs load from beside them: the engine of scripts. */
const WASM = ["node_modules/quickjs-wasi/quickjs.wasm"];

/** Native and optional: place-build.ts keeps a copy. */
export const LEFT_OUTSIDE = ["koffi"];

/**
 * The same library as ES modules, which it offers to browsers alone. Of its CommonJS files a lazy `import()` would give
 * the default export and no other, and they ask for Node's modules by a `require` that a bundled ES module lacks.
 */
const ES_MODULES_OF = {
  "jsonc-parser": "node_modules/jsonc-parser/lib/esm/main.js",
  yaml: "node_modules/yaml/browser/index.js",
};

/** What CommonJS packages ask of Node by a `require`, which a bundled ES module lacks. */
const NODE_MODULES_BY_REQUIRE: Plugin = {
  name: "node-modules-by-require",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[a-z]/ }, ({ path: name, kind }) =>
      kind === "require-call" && isBuiltin(name) ? { path: name, namespace: "node-module" } : null,
    );
    onLoad({ filter: /.*/, namespace: "node-module" }, ({ path: name }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(name)});`,
    }));
  },
};

/** Of Node's modules, an ES module would evaluate all exports, such as the streams of node:fs: 8 ms at the entry's start. */
const NODE_MODULES_WITHOUT_IMPORT: Plugin = {
  name: "node-modules-without-import",
  setup({ onResolve }) {
    onResolve({ filter: /^node:/ }, ({ path: name, kind }) =>
      kind === "import-statement" ? { path: name, namespace: "node-module" } : null,
    );
    onResolve({ filter: /^\.\/command-line\.ts$/ }, () => ({ path: "./command-line.js", external: true }));
  },
};

/** What never runs: a debugger that ink asks for where a variable says so. */
const WITHOUT_UNUSED: Plugin = {
  name: "without-unused",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^react-devtools-core$/ }, ({ path: name }) => ({
      path: name,
      namespace: "absent",
    }));
    onLoad({ filter: /.*/, namespace: "absent" }, () => ({ contents: "export default null;" }));
  },
};

export interface BuiltFile {
  /** Beside all others: a build has one folder. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly executable: boolean;
}

export interface Compiled {
  readonly files: readonly BuiltFile[];
  /** The npm packages whose code is inside, sorted. */
  readonly bundledPackages: readonly string[];
  /** The npm packages that are still imported at run time, sorted. */
  readonly outsidePackages: readonly string[];
}

/** How a program for Node is made: all that it imports inside, save LEFT_OUTSIDE. */
export function programOptions(root: string): BuildOptions {
  return {
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node22.18",
    external: LEFT_OUTSIDE,
    alias: Object.fromEntries(
      Object.entries(ES_MODULES_OF).map(([name, file]) => [name, path.join(root, file)]),
    ),
    plugins: [NODE_MODULES_BY_REQUIRE, WITHOUT_UNUSED],
    // Of react's two forms, the one without its slow checks.
    define: { "process.env.NODE_ENV": '"production"', "process.env.DEV": '"false"' },
    entryNames: "[name]",
    logLevel: "warning",
  };
}

/** A command without a daemon needs the daemon's code: its modules, which a script loads by a `require`. */
const WITHOUT_DAEMONS_CODE: Plugin = {
  name: "without-daemons-code",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.\/\.\.\/(?:daemon|doctor)\// }, ({ path: name, kind }) =>
      kind === "dynamic-import" ? { path: `./${path.basename(name, ".ts")}.js`, external: true } : null,
    );
  },
};

/** CommonJS, as V8 keeps the compiled code of the one file that it is. */
function scriptOptions(shared: BuildOptions, script: string): BuildOptions {
  const [url, dirname, filename] = ["__url", "__dirname", "__filename"];
  return {
    ...shared,
    entryPoints: [script],
    plugins: [...(script.endsWith("/plain.ts") ? [WITHOUT_DAEMONS_CODE] : []), ...(shared.plugins ?? [])],
    format: "cjs",
    supported: { "dynamic-import": false },
    outExtension: { ".js": ".cjs" },
    banner: { js: `const ${url}=require("node:url").pathToFileURL(${filename}).href;` },
    define: {
      ...shared.define,
      "import.meta.url": url,
      "import.meta.dirname": dirname,
      "import.meta.filename": filename,
    },
    // Of a module's import.meta, only code in the sources uses more.
    logOverride: { "empty-import-meta": "silent" },
    write: false,
    metafile: true,
  };
}

/** V8 keeps a text of one byte for each character. esbuild escapes all characters but those in regular expressions. */
function inAscii(text: string): Uint8Array {
  const code = (character: string): string => character.charCodeAt(0).toString(16).padStart(4, "0");
  return new TextEncoder().encode(text.replace(/[\u0080-\uffff]/g, (character) => `\\u${code(character)}`));
}

/** Writes nothing. The same sources and packages give the same bytes. */
export async function compile(root: string): Promise<Compiled> {
  const shared: BuildOptions = {
    ...programOptions(root),
    // Two folders deep, as dist/<digest> is: the maps' paths are relative.
    outdir: path.join(root, "dist/build"),
    sourcemap: true,
    sourcesContent: false,
    // What is read at each start, and kept as text for as long as the process lives; names stay.
    minifyWhitespace: true,
    minifySyntax: true,
  };
  const [chunked, scripts, single, texts, wasm, page, manifest] = await Promise.all([
    build({ ...shared, entryPoints: PROGRAMS, splitting: true, write: false, metafile: true }),
    Promise.all(SCRIPTS.map((script) => build(scriptOptions(shared, script)))),
    build({
      ...shared,
      entryPoints: SINGLE_FILE_PROGRAMS,
      plugins: [NODE_MODULES_WITHOUT_IMPORT, ...(shared.plugins ?? [])],
      write: false,
      metafile: true,
    }),
    Promise.all(SHELL_PROGRAMS.map((file) => readFile(path.join(root, file)))),
    Promise.all(WASM.map((file) => readFile(path.join(root, file)))),
    compilePage(root),
    readManifest(root),
  ]);
  const metafiles = [chunked, ...scripts, single, page].flatMap(({ metafile }) => metafile ?? []);
  const bundled = [...chunked.outputFiles, ...single.outputFiles].map(
    (file): BuiltFile => ({ name: path.basename(file.path), bytes: file.contents, executable: false }),
  );
  const loaded = scripts
    .flatMap(({ outputFiles = [] }) => outputFiles)
    .map(
      (file): BuiltFile => ({
        name: path.basename(file.path),
        bytes: file.path.endsWith(".map") ? file.contents : inAscii(file.text),
        executable: false,
      }),
    );
  const shell = SHELL_PROGRAMS.map(
    (file, index): BuiltFile => ({
      name: path.basename(file),
      bytes: texts[index] ?? new Uint8Array(),
      executable: true,
    }),
  );
  const engines = WASM.map(
    (file, index): BuiltFile => ({
      name: path.basename(file),
      bytes: wasm[index] ?? new Uint8Array(),
      executable: false,
    }),
  );
  const shown = page.files.map((file): BuiltFile => ({ ...file, executable: false }));
  const files = [...bundled, ...loaded, ...shell, ...engines, ...shown, ...manifest].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  return {
    files,
    bundledPackages: sortedOnce(metafiles.flatMap(packagesInside)),
    outsidePackages: sortedOnce(metafiles.flatMap(packagesOutside)),
  };
}

async function readManifest(root: string): Promise<readonly BuiltFile[]> {
  const manifest: unknown = JSON.parse(await readFile(path.join(root, "package.json"), "utf8"));
  return versionFiles(
    typeof manifest === "object" && manifest !== null && "version" in manifest && manifest.version,
  );
}

/** A running process reports the version it was built as, whatever the checkout has become; so does the launcher. */
export function versionFiles(version: unknown): readonly BuiltFile[] {
  const text = `${JSON.stringify({ type: "module", version }, null, 2)}\n`;
  return Object.entries({ "package.json": text, version: `${String(version)}\n` }).map(([name, content]) => ({
    name,
    bytes: new TextEncoder().encode(content),
    executable: false,
  }));
}

function packagesInside({ inputs }: Metafile): string[] {
  return Object.keys(inputs).flatMap((file) => {
    const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];
    return name === undefined ? [] : [name];
  });
}

function packagesOutside({ outputs }: Metafile): string[] {
  return Object.values(outputs)
    .flatMap(({ imports }) => imports)
    .filter(({ external, path: name }) => external === true && !isBuiltin(name) && !name.startsWith("."))
    .map(({ path: name }) => name);
}

function sortedOnce(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
