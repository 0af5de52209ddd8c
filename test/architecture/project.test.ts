// The project's own papers are true: each dependency is argued for, pinned and locked; the README's commands exist.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { access, constants, glob, readFile } from "node:fs/promises";
import path, { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { parse } from "yaml";
import { releaseNotes } from "../../scripts/release-notes.ts";
import { scanSource } from "../../scripts/source-scan.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

async function text(file: string): Promise<string> {
  return readFile(path.join(ROOT, file), "utf8");
}

async function manifest(file: string): Promise<Manifest> {
  return JSON.parse(await text(file));
}

function versions({ dependencies, optionalDependencies, devDependencies }: Manifest): [string, string][] {
  return Object.entries({ ...dependencies, ...optionalDependencies, ...devDependencies });
}

async function allVersions(): Promise<[string, string][]> {
  const all = [
    ...versions(await manifest("package.json")),
    ...versions(await manifest("toolchain/package.json")),
  ];
  // Two versions of one package go by names of their own: `npm:NAME@VERSION`.
  return all.map(([name, version]) => [name, /^npm:.+@([^@]+)$/.exec(version)?.[1] ?? version]);
}

test("docs/project/dependencies.md names every dependency with its version", async () => {
  const document = await text("docs/project/dependencies.md");
  for (const [name, version] of await allVersions()) {
    const lines = document
      .split("\n\n")
      .filter((paragraph) => paragraph.includes(`\`${name}\``) || paragraph.includes(`[${name}]`));
    assert.ok(
      lines.length > 0,
      `${name} is not in docs/project/dependencies.md: what is it for, and what was looked at instead?`,
    );
    assert.ok(
      lines.some((paragraph) => paragraph.includes(version)),
      `docs/project/dependencies.md does not say that ${name} is at ${version}`,
    );
  }
});

test("every version is exact, and the lockfile holds its integrity", async () => {
  const lock: { packages: Record<string, { version?: string; integrity?: string; link?: boolean }> } =
    JSON.parse(await text("package-lock.json"));
  for (const [name, version] of await allVersions()) {
    assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${name}: ${version}`);
    assert.equal(
      lock.packages[`node_modules/${name}`]?.version,
      version,
      `${name}: package-lock.json is stale`,
    );
  }
  for (const [place, { integrity, link }] of Object.entries(lock.packages)) {
    if (place.startsWith("node_modules/") && link !== true)
      assert.ok(integrity?.startsWith("sha512-"), `${place}: no integrity`);
  }
});

test("the README's commands are the project's own", async () => {
  const readme = await text("README.md");
  const { scripts } = await manifest("package.json");
  assert.match(readme, /^npm ci && npm run demo$/m);
  // .ci/run takes its test command from this very line.
  assert.match(readme, /^npm ci && npm test/m);
  for (const [, script] of readme.matchAll(/\bnpm run ([\w:-]+)/g)) {
    assert.ok(
      script !== undefined && script in scripts,
      `the README says npm run ${script}, which does not exist`,
    );
  }
});

test("CONTRIBUTING.md names the packages that .ci/run installs", async () => {
  const [, table = ""] = /^declare -A PACKAGE_OF=\(([^)]*)/m.exec(await text(".ci/suites.sh")) ?? [];
  const [, list = ""] = /`apt-get install ([^`]*)`/.exec(await text("CONTRIBUTING.md")) ?? [];
  const installed = [...table.matchAll(/\]=(\S+)/g)].map(([, name]) => name);
  assert.deepEqual(
    list.split(/\s+/).sort(),
    [...new Set([...installed, "python3-venv", "samba-vfs-modules"])].sort(),
  );
});

test("each page that mentions a Node version has the package's", async () => {
  const { engines } = JSON.parse(await text("package.json"));
  const oldest = engines.node.replace(">=", "");
  for (const page of ["README.md", "docs/use/install.md", "docs/project/dependencies.md"])
    assert.match(await text(page), new RegExp(`Node (?:≥ )?${oldest}\\b`), page);
  assert.ok((await text("bin/find-node.sh")).includes(`needs Node ${oldest} or newer`));
});

test("the pages for developers explain scripts that exist", async () => {
  const { scripts } = await manifest("package.json");
  for (const page of ["CONTRIBUTING.md", "docs/project/development.md", "docs/project/releasing.md"])
    for (const [, script] of (await text(page)).matchAll(/\bnpm run ([\w:-]+)/g))
      assert.ok(script !== undefined && script in scripts, `npm run ${script} does not exist`);
});

test("docs/project/development.md names every part of the nightly", async () => {
  const parts =
    /^PARTS=\(([^)]+)\)$/m
      .exec(await text(".ci/nightly"))?.[1]
      ?.trim()
      .split(/\s+/) ?? [];
  const rows = (await text("docs/project/development.md")).matchAll(/^\| (`[\w-]+`(?:, `[\w-]+`)*) \|/gm);
  const named = [...rows].flatMap(([, names = ""]) => names.replaceAll("`", "").split(", "));
  assert.deepEqual(named.toSorted(), parts.toSorted());
});

/** `src/x.ts` and the like between backticks; `src/<folder>` and `src/…` stand for any. */
function pathsIn(document: string): string[] {
  const spans = document.matchAll(/`((?:src|test|scripts|bench|bin|docs|mount)\/[^`\s<…]*)`/g);
  return [...spans].flatMap(([, place]) => place ?? []);
}

test("the documents name only files and folders that exist", async () => {
  const { glob } = await import("node:fs/promises");
  const missing: string[] = [];
  for await (const document of glob(["*.md", "docs/**/*.md"], { cwd: ROOT })) {
    if (document === "CHANGELOG.md") continue;
    for (const place of pathsIn(await text(document))) {
      const found = await Array.fromAsync(glob(place.replace(/\/$/, ""), { cwd: ROOT }));
      if (found.length === 0) missing.push(`${document}: ${place}`);
    }
  }
  assert.deepEqual(missing, []);
});

test("each page that programs, scripts, tests and workflows name exists", async () => {
  const missing: string[] = [];
  const files = glob(
    ["{src,scripts,bench,mount,test,bin}/**/*.{ts,sh,css,md,go}", ".ci/*", ".github/**/*.yml"],
    {
      cwd: ROOT,
      exclude: ["**/node_modules", "test/nightly/folder-servers*", "test/scripts/**"],
    },
  );
  for await (const file of files)
    for (const [page] of (await text(file)).matchAll(/(?<![\w/-])docs\/[\w/-]+\.(?:md|json)\b/g))
      if (!existsSync(join(ROOT, page))) missing.push(`${file}: ${page}`);
  assert.deepEqual(missing, []);
});

test("each code of a finding is explained in a document", async () => {
  let documents = "";
  for await (const document of glob("docs/**/*.md", { cwd: ROOT })) documents += await text(document);
  const codes = new Set<string>();
  for await (const file of glob("src/**/*.ts", { cwd: ROOT })) {
    const source = await text(file);
    for (const [, code] of source.matchAll(
      /\b(?:code: |(?:add|finding)\(\s*"(?:warning|error)",\s*)"([a-z]+_[a-z_]+)"/g,
    ))
      codes.add(code ?? "");
  }
  assert.ok(codes.size > 15);
  assert.deepEqual([...codes].filter((code) => !documents.includes(code)).sort(), []);
});

/** `parse-json.ts` says why. The second file reads what our own sandbox wrote. */
const READS_JSON = ["src/gateway/scripts/thread/tool-value.ts", "src/runtime/text/parse-json.ts"];

test("JSON from elsewhere is read in one place", async () => {
  const found: string[] = [];
  for await (const file of glob("src/**/*.{ts,tsx}", { cwd: ROOT })) {
    const { code } = scanSource(await readFile(path.join(ROOT, file), "utf8"));
    if (/\bJSON\.parse\b|\b(?:response|request|answer)\.json\(\)/.test(code)) found.push(file);
  }
  assert.deepEqual(found.sort(), READS_JSON, "use parseJson of src/runtime/text/parse-json.ts");
});

/** Who may do it, by what the source has. The functions of `sign-in.ts` decide; nobody else passes a password to a program. */
const GUARDED: Readonly<Record<string, readonly string[]>> = {
  "Contact\\.check\\(": ["src/daemon/compose/share-contact.ts", "src/shares/engine/observe.ts"],
  "(?<!function )typedSignIn\\(": ["src/daemon/control/first-contact.ts"],
  "(?<!function )passwordOf\\(": [
    "src/shares/drivers/fs/fs.ts",
    "src/shares/drivers/fs/moving-programs.ts",
    "src/shares/drivers/netfs/netfs.ts",
    "src/shares/program/commands.ts",
  ],
  // References, comparisons, and messages from which it is taken out.
  "\\b(?:share|spec|login)\\.password\\b(?! [!=]==)": [
    "src/daemon/compose/share-contact.ts",
    "src/daemon/control/first-contact.ts",
    "src/doctor/credentials.ts",
    "src/shares/drivers/fs/fs.ts",
    "src/shares/engine/share-cycle.ts",
  ],
  "\\b[hH]ostProber\\.probe\\(": [
    "src/daemon/control/first-contact.ts",
    "src/doctor/hosts.ts",
    "src/doctor/self-test.ts",
    "src/shares/engine/observe.ts",
    "src/shares/engine/perform-mount.ts",
  ],
};

test("A20 no password goes to a program, and no probe to a host, but with the right to it", async () => {
  const found = new Map(Object.keys(GUARDED).map((pattern) => [pattern, [] as string[]]));
  for await (const file of glob("src/{daemon,doctor,shares}/**/*.ts", { cwd: ROOT })) {
    const { code } = scanSource(await text(file));
    for (const [pattern, files] of found) if (new RegExp(pattern).test(code)) files.push(file);
  }
  assert.deepEqual(
    Object.fromEntries([...found].map(([pattern, files]) => [pattern, files.sort()])),
    GUARDED,
  );
});

/** Node 24 has these globals and Node 22, on which the program runs too, has not. The compiler adds none. */
const NOT_IN_NODE_22 = /\b(?:Async)?DisposableStack\b|\bRegExp\.escape\b|\bError\.isError\b|\bPromise\.try\b/;

test("the program uses only features of Node 22.18", async () => {
  const using: string[] = [];
  for await (const file of glob("src/**/*.ts", { cwd: ROOT, exclude: ["src/web/page/**"] })) {
    if (NOT_IN_NODE_22.test(await readFile(path.join(ROOT, file), "utf8"))) using.push(file);
  }
  assert.deepEqual(using, []);
});

test("each step of docs/project/a-walk.md names a file", async () => {
  const steps = (await text("docs/project/a-walk.md")).match(
    /^ *(?:\d+\.|-) [\s\S]*?(?=\n *(?:\d+\.|-) |\n\n|\n*$(?![\s\S]))/gm,
  );
  assert.ok(steps !== null);
  for (const step of steps) assert.ok(pathsIn(step).length > 0, step);
});

test("docs/project/architecture.md shows every folder", async () => {
  const document = await text("docs/project/architecture.md");
  const { glob } = await import("node:fs/promises");
  for await (const entry of glob("src/*/", { cwd: ROOT })) {
    const folder = path.basename(entry);
    assert.match(
      document,
      new RegExp(`^  ${folder}/ `, "m"),
      `src/${folder} is not in the picture of folders`,
    );
  }
});

test("docs/project/architecture.md shows only folders that exist", async () => {
  const picture = (await text("docs/project/architecture.md")).match(/^```\nsrc\/\n([\s\S]*?)^mount\//m)?.[1];
  assert.ok(picture !== undefined);
  const { glob } = await import("node:fs/promises");
  const missing: string[] = [];
  let parent = "";
  for (const line of picture.split("\n")) {
    parent = /^ {2}([a-z-]+)\/ /.exec(line)?.[1] ?? parent;
    for (const [, folder] of line.matchAll(/(?<![\w./])([a-z-]+)\/(?![\w.])/g)) {
      const found = folder === parent ? [`src/${parent}/`] : [`src/${parent}/**/${folder}/`];
      if ((await Array.fromAsync(glob(found, { cwd: ROOT }))).length === 0)
        missing.push(`${parent}: ${folder}`);
    }
  }
  assert.deepEqual(missing, []);
});

// What GitHub runs is what the project has: its scripts, its commands, its version.

interface Job {
  readonly "runs-on": string;
  readonly environment?: string;
  readonly needs?: string | readonly string[];
  readonly permissions?: Readonly<Record<string, string>>;
  readonly strategy?: {
    readonly matrix: { readonly os?: readonly string[]; readonly part?: readonly string[] };
  };
  readonly steps: readonly { readonly run?: string; readonly uses?: string; readonly if?: string }[];
}

async function jobsOf(workflow: string): Promise<Readonly<Record<string, Job>>> {
  return parse(await readFile(join(ROOT, ".github/workflows", workflow), "utf8")).jobs;
}

const runsOf = (job: Job | undefined): string[] => (job?.steps ?? []).flatMap(({ run }) => run ?? []);

describe("workflows", () => {
  test("Linux runs every step of .ci/run, with its parts in parallel", async () => {
    const { check } = await jobsOf("linux.yml");
    assert.ok(runsOf(check).includes(".ci/run ${{ matrix.part }}"));
    const [, parts = ""] = /^PARTS=\((.*)\)$/m.exec(await readFile(join(ROOT, ".ci/run"), "utf8")) ?? [];
    assert.deepEqual(check?.strategy?.matrix.part, parts.split(" "));
    await access(join(ROOT, ".ci/run"), constants.X_OK);
  });

  test("a Mac installs, proves its parts before the tests, and publishes its findings, whatever failed", async () => {
    const { check } = await jobsOf("macos.yml");
    assert.ok(check?.strategy?.matrix.os?.every((os) => os.startsWith("macos-")));
    const runs = runsOf(check).join("\n");
    assert.match(runs, /^npm ci\n(.*\n)*.*a-self-test\.ts\n(.*\n)*npm test$/m);
    const handsOut = check?.steps.find(({ uses }) => uses?.startsWith("actions/upload-artifact@"));
    assert.equal(handsOut?.if, "always()");
  });

  test("a release is checked, made without a key, signed where nothing is installed, and a draft until it is whole", async () => {
    const { check, make, sign, publish, pages, tap } = await jobsOf("release.yml");
    assert.ok(runsOf(check).includes(".ci/run"));
    assert.deepEqual([make?.needs, sign?.needs, publish?.needs], ["check", "make", "sign"]);
    assert.deepEqual([pages?.needs, tap?.needs], ["publish", "publish"]);
    const withKey = [check, make, sign, publish, pages].filter((job) =>
      JSON.stringify(job).includes("secrets."),
    );
    assert.deepEqual(withKey, [sign]);
    assert.doesNotMatch(JSON.stringify(sign), /npm|npx|apt-get|setup-|with-node/);
    assert.deepEqual([sign?.environment, publish?.environment], ["release", "release"]);
    assert.equal(publish?.permissions?.["id-token"], "write");
    const runs = runsOf(publish).join("\n");
    assert.match(
      runs,
      /check\.sh(.*\n)*.*check-site\.sh(.*\n)*.*create .*--draft(.*\n)*npm publish --provenance (.*\n)*.*--draft=false$/,
    );
    const attests = publish?.steps.filter(({ uses }) => uses?.startsWith("actions/attest-")) ?? [];
    assert.equal(attests.length, 2);
  });

  test("each action is named by its commit", async () => {
    for await (const file of glob(".github/workflows/*.yml", { cwd: ROOT }))
      for (const [, action = ""] of (await text(file)).matchAll(/\buses: (.+)$/gm))
        assert.match(action, /^[\w/-]+@[0-9a-f]{40} # v[\d.]+$/, file);
  });
});

describe("release notes", () => {
  const program = join(ROOT, "scripts/release-notes.ts");
  const run = (tag: string) => promisify(execFile)(process.execPath, [program, tag]);

  test("are the version's part of the changelog", async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
    const said = await run(`v${version}`).then(
      ({ stdout }) => stdout,
      (error: { stderr: string }) => error.stderr,
    );
    assert.match(said, /^### Added\n|CHANGELOG\.md has (?:no date for|entries under Unreleased)/);
    const changelog =
      "# Changes\n\n## [Unreleased]\n\n## [2.0.0] - 2026-01-02\n\n- two\n\n## [1.0.0] - 2026-01-01\n\n- one\n";
    assert.equal(releaseNotes(changelog, "2.0.0"), "- two\n");
    assert.equal(releaseNotes(changelog, "1.0.0"), "- one\n");
  });

  test("a tag that differs from the version, or a version without an entry or a date, is refused", async () => {
    await assert.rejects(run("v9.9.9"), /the tag is v9\.9\.9, and package\.json says/);
    assert.throws(() => releaseNotes("## [1.0.0] - 2026-01-01\n\n", "1.0.0"), /says nothing of 1\.0\.0/);
    const section = "## [1.0.0] - not released yet\n\n- one\n";
    assert.throws(() => releaseNotes(section, "1.0.0"), /no date for 1\.0\.0/);
    const rest = "## [Unreleased]\n\n- more\n\n## [1.0.0] - 2026-01-01\n\n- one\n";
    assert.throws(() => releaseNotes(rest, "1.0.0"), /entries under Unreleased/);
  });
});
