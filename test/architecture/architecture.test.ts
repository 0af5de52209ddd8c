// The sources keep to the rules, and the rules find what breaks them.
import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { scanSource } from "../../scripts/source-scan.ts";
import { FOLDERS, LIBRARIES, PLATFORM_READERS } from "./folder-rules.ts";
import { MAX_FILES, ROOMS } from "./room-rules.ts";
import { roomOf, violations } from "./violations.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

async function sources(): Promise<Map<string, string>> {
  const tree = new Map<string, string>();
  for await (const file of glob("src/**/*.{ts,tsx}", { cwd: ROOT })) {
    tree.set(file, await readFile(path.join(ROOT, file), "utf8"));
  }
  return tree;
}

function noCircle(all: readonly string[], knows: (one: string) => readonly string[]): void {
  const seen = new Set<string>();
  const visit = (one: string, trail: readonly string[]): void => {
    assert.ok(!trail.includes(one), [...trail, one].join(" → "));
    if (seen.has(one)) return;
    for (const next of knows(one)) visit(next, [...trail, one]);
    seen.add(one);
  };
  for (const one of all) visit(one, []);
}

function broken(files: Record<string, string>): string[] {
  return violations(new Map(Object.entries(files)));
}

describe("the sources", () => {
  test("keep to every rule", async () => {
    assert.deepEqual(violations(await sources()), []);
  });

  test("import no HTTP of Node's: its ESM face loads fetch, which costs each start of a process", async () => {
    const importing = [...(await sources())]
      .filter(([, text]) => /^import (?!type\b)[^;]*from "node:https?";$/m.test(text))
      .map(([file]) => file);
    assert.deepEqual(importing, [], "process.getBuiltinModule has it");
  });

  test("are more than a handful, so that the test looks at something", async () => {
    assert.ok((await sources()).size > 30);
  });

  test("hold the files that the tables name", async () => {
    const tree = await sources();
    const absent = Object.keys(PLATFORM_READERS).filter((file) => !tree.has(file));
    assert.deepEqual(absent, [], "an exception for a file that is gone is a trap for the next of that name");
    const rooms = new Set([...tree.keys()].map(roomOf));
    assert.deepEqual(
      Object.keys(ROOMS).filter((room) => !rooms.has(room)),
      [],
      "rooms of the table that hold no file",
    );
  });

  test("use every library that package.json installs for running, and no other", async () => {
    const manifest = JSON.parse(await readFile(path.join(ROOT, "package.json"), "utf8"));
    const installed = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }).sort();
    assert.deepEqual(Object.keys(LIBRARIES).sort(), installed);
  });
});

describe("the table of folders", () => {
  test("has no circle, so that each folder can be read on what is below it", () => {
    noCircle(Object.keys(FOLDERS), (folder) => FOLDERS[folder]?.knows ?? []);
  });

  test("keeps shares and gateway apart", () => {
    assert.ok(!FOLDERS["shares"]?.knows.includes("gateway"));
    assert.ok(!FOLDERS["gateway"]?.knows.includes("shares"));
  });
});

describe("the table of rooms", () => {
  test("has no circle", () => {
    noCircle(Object.keys(ROOMS), (room) => ROOMS[room] ?? []);
  });

  test("has arrows inside of a folder only, and each leads to a room of the table", () => {
    for (const [room, knows] of Object.entries(ROOMS)) {
      for (const other of knows) {
        assert.equal(other.split("/")[0], room.split("/")[0], `${room} → ${other}`);
        assert.ok(other in ROOMS, `${room} → ${other}`);
      }
    }
  });

  test("has no arrow that no file takes, so that the picture is true", async () => {
    const taken = new Set<string>();
    for (const [file, source] of await sources()) {
      for (const { specifier } of scanSource(source).imports) {
        if (!specifier.startsWith(".")) continue;
        taken.add(`${roomOf(file)} → ${roomOf(path.posix.join(path.posix.dirname(file), specifier))}`);
      }
    }
    const arrows = Object.entries(ROOMS).flatMap(([room, knows]) =>
      knows.map((other) => `${room} → ${other}`),
    );
    assert.deepEqual(
      arrows.filter((arrow) => !taken.has(arrow)),
      [],
    );
  });
});

describe("the rules find", () => {
  const cases: { name: string; files: Record<string, string>; expected: RegExp }[] = [
    {
      name: "an arrow that is not in the table, with the reason",
      files: { "src/shares/a.ts": 'import { x } from "../gateway/b.ts";', "src/gateway/b.ts": "" },
      expected: /^src\/shares\/a\.ts:1: shares imports gateway .* because shares run alone/,
    },
    {
      name: "a banned arrow of types only",
      files: { "src/runtime/a.ts": '\nimport type { X } from "../config/b.ts";', "src/config/b.ts": "" },
      expected:
        /^src\/runtime\/a\.ts:2: runtime imports config .* no other folder, because everything stands/,
    },
    {
      name: "a banned arrow of a re-export",
      files: { "src/network/a.ts": 'export { x } from "../shares/b.ts";', "src/shares/b.ts": "" },
      expected: /network imports shares/,
    },
    {
      name: "a banned arrow of a dynamic import",
      files: { "src/network/a.ts": 'const x = await import("../shares/b.ts");', "src/shares/b.ts": "" },
      expected: /network imports shares/,
    },
    {
      name: "a banned arrow of a type query",
      files: { "src/network/a.ts": 'type X = typeof import("../shares/b.ts");', "src/shares/b.ts": "" },
      expected: /network imports shares/,
    },
    {
      name: "an import over several lines",
      files: {
        "src/network/a.ts": 'import {\n  x,\n  type Y,\n} from "../shares/b.ts";',
        "src/shares/b.ts": "",
      },
      expected: /^src\/network\/a\.ts:1: network imports shares/,
    },
    {
      name: "an import for its effect",
      files: { "src/network/a.ts": 'import "../shares/b.ts";', "src/shares/b.ts": "" },
      expected: /network imports shares/,
    },
    {
      name: "more than types where only types are allowed",
      files: { "src/api/a.ts": 'import { x } from "../config/b.ts";', "src/config/b.ts": "" },
      expected: /api imports more than types from config/,
    },
    {
      name: "a folder that the table does not know",
      files: { "src/stuff/a.ts": "" },
      expected: /src\/stuff is not in the table/,
    },
    {
      name: "a room that the table does not know",
      files: { "src/shares/stuff/a.ts": "" },
      expected: /src\/shares\/stuff is not in the table of rooms/,
    },
    {
      name: "an arrow between rooms that is not in the table",
      files: {
        "src/shares/policy/a.ts": 'import type { X } from "../engine/b.ts";',
        "src/shares/engine/b.ts": "",
      },
      expected:
        /^src\/shares\/policy\/a\.ts:1: shares\/policy imports shares\/engine .* it may know shares, /,
    },
    {
      name: "an arrow from what a folder's rooms share to one of them",
      files: { "src/shares/a.ts": 'await import("./policy/b.ts");', "src/shares/policy/b.ts": "" },
      expected: /shares imports shares\/policy .* no other room/,
    },
    {
      name: "a crowded folder",
      files: Object.fromEntries(
        Array.from({ length: MAX_FILES + 1 }, (_, index) => [`src/shares/policy/a${index}.ts`, ""]),
      ),
      expected: /^src\/shares\/policy: 26 files lie in it, at most 25 may/,
    },
    {
      name: "sources that import tests",
      files: { "src/shares/a.ts": 'import { x } from "../../test/support/b.ts";' },
      expected: /sources import sources only/,
    },
    {
      name: "a command that loads the daemon",
      files: { "src/cli/status.ts": 'await import("../daemon/a.ts");', "src/daemon/a.ts": "" },
      expected: /loads daemon/,
    },
    {
      name: "a daemon loaded eagerly",
      files: {
        "src/cli/in-process/monitor.ts": 'import { run } from "../../daemon/a.ts";',
        "src/daemon/a.ts": "",
      },
      expected: /loads daemon/,
    },
    {
      name: "a demo that another command loads",
      files: { "src/cli/commands/status.ts": 'await import("../../demo/a.ts");', "src/demo/a.ts": "" },
      expected: /loads demo/,
    },
    {
      name: "a circle of two",
      files: { "src/shares/a.ts": 'import "./b.ts";', "src/shares/b.ts": 'import type { A } from "./a.ts";' },
      expected: /^import cycle: src\/shares\/a\.ts → src\/shares\/b\.ts → src\/shares\/a\.ts$/,
    },
    {
      name: "a file that imports itself",
      files: { "src/shares/a.ts": 'import { b } from "./a.ts";' },
      expected: /^import cycle: src\/shares\/a\.ts → src\/shares\/a\.ts$/,
    },
    {
      name: "a library outside its folder",
      files: { "src/shares/a.ts": 'import koffi from "koffi";' },
      expected: /imports koffi, which belongs to network/,
    },
    {
      name: "a library outside its folder, by a subpath and as types",
      files: { "src/shares/a.ts": 'import type { infer } from "zod/mini";' },
      expected: /imports zod, which belongs to/,
    },
    {
      name: "a library that the table does not know",
      files: { "src/shares/a.ts": 'import x from "@left/pad/deep";' },
      expected: /imports @left\/pad, which the table of libraries does not know/,
    },
    {
      name: "a decision that waits",
      files: { "src/shares/decide.ts": "export async function d() {}" },
      expected: /waits/,
    },
    {
      name: "a decision that imports from Node",
      files: { "src/shares/decide-x.ts": 'import type { X } from "node:net";' },
      expected: /imports node:net/,
    },
    {
      name: "a decision that imports the clock",
      files: {
        "src/shares/decide.ts": 'import { systemClock } from "../runtime/time/clock.ts";',
        "src/runtime/time/clock.ts": "",
      },
      expected: /imports the clock/,
    },
    {
      name: "a decision that reads a clock",
      files: { "src/shares/decide.ts": "const n = Date.now();" },
      expected: /reads a clock/,
    },
    {
      name: "a platform read where nothing is picked",
      files: { "src/shares/a.ts": 'if (process.platform === "linux") x();' },
      expected: /reads process\.platform/,
    },
    {
      name: "a default export",
      files: { "src/shares/a.ts": "export default 1;" },
      expected: /default export/,
    },
    {
      name: "a default export by another name",
      files: { "src/shares/a.ts": "export { x as default };" },
      expected: /default export/,
    },
    {
      name: "console outside cli",
      files: { "src/shares/a.ts": 'console.error("x");' },
      expected: /writes to the console/,
    },
    { name: "a file too long", files: { "src/shares/a.ts": "x;\n".repeat(501) }, expected: /has 501 lines/ },
    {
      name: "a folder that names nothing",
      files: { "src/shares/utils/a.ts": "" },
      expected: /"utils" names no fact/,
    },
    {
      name: "a file that names nothing",
      files: { "src/shares/helpers.ts": "" },
      expected: /"helpers" names no fact/,
    },
  ];
  for (const { name, files, expected } of cases) {
    test(name, () => {
      const found = broken(files);
      assert.equal(found.length, 1, found.join("\n") || "nothing was found");
      assert.match(found[0] ?? "", expected);
    });
  }

  test("nothing in a tree that keeps to them", () => {
    const files = {
      "src/runtime/time/clock.ts": "export const x = 1;\n".repeat(500),
      "src/shares/a.ts":
        '// import { x } from "../gateway/b.ts";\n/* console.log(process.platform) */\n' +
        'const text = \'import "../gateway/b.ts"\'; const pattern = /["/]console.log/;\n' +
        `const nested = \`\${\`process.platform \${x}\`} console.log\`;\n`,
      "src/shares/decide.ts": 'import type { Clock } from "../runtime/time/clock.ts"; // await, Date.now()\n',
      "src/shares/mounts.ts": "process.platform",
      "src/shares/mounts-linux.ts": "",
      "src/cli/in-process/monitor.ts": 'const { run } = await import("../../daemon/a.ts"); console.log(1);',
      "src/daemon/a.ts": 'import { x } from "../shares/a.ts";',
      "src/shares/policy/a.ts": 'import { x } from "../a.ts";',
      ...Object.fromEntries(
        Array.from({ length: MAX_FILES + 1 }, (_, index) => [`src/cli/commands/config/a${index}.ts`, ""]),
      ),
      "src/cli/commands/b.ts": 'await import("./config/a0.ts");',
      "src/api/a.ts": 'import type { X } from "../config/b.ts";',
      "src/config/b.ts": 'import { z } from "zod";\nimport * as node from "node:fs";',
    };
    assert.deepEqual(broken(files), []);
  });
});

describe("reading a source", () => {
  test("tells types, values and lazy loads apart", () => {
    const { imports } = scanSource(
      [
        'import a, { type B } from "./a.ts";',
        'import type { C } from "./c.ts";',
        'import type from "./named-type.ts";',
        'export type { D } from "./d.ts";',
        'export * from "./e.ts";',
        'const f = await import("./f.ts");',
        'let g: typeof import("./g.ts");',
      ].join("\n"),
    );
    assert.deepEqual(
      imports.map(({ specifier, typeOnly, dynamic }) => [specifier, typeOnly, dynamic]),
      [
        ["./a.ts", false, false],
        ["./c.ts", true, false],
        ["./named-type.ts", false, false],
        ["./d.ts", true, false],
        ["./e.ts", false, false],
        ["./f.ts", false, true],
        ["./g.ts", true, false],
      ],
    );
  });

  test("keeps lines and offsets while it blanks comments, strings, templates and regular expressions", () => {
    const source = `a; // "b\n"c" + /d"/.test(\`e\${f("g")}h\`) /* i\n */ / 2;`;
    const { code } = scanSource(source);
    assert.equal(code.length, source.length);
    assert.equal(code, `a;      \n" " +     .test(\` \${f(" ")} \`)     \n    / 2;`);
  });
});
