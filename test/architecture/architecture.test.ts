// The sources keep to the rules, and the rules find what breaks them.
import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { scanSource } from "../../scripts/source-scan.ts";
import { pluck } from "../support/pluck.ts";
import { LIBRARIES, PLATFORM_READERS } from "./folder-rules.ts";
import { violations } from "./violations.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

async function sources(): Promise<Map<string, string>> {
  const tree = new Map<string, string>();
  for await (const file of glob("src/**/*.{ts,tsx}", { cwd: ROOT })) {
    tree.set(file, await readFile(path.join(ROOT, file), "utf8"));
  }
  return tree;
}

function broken(files: Record<string, string>): string[] {
  return violations(new Map(Object.entries(files)));
}

describe("the sources", () => {
  test("obey every rule", async () => {
    assert.deepEqual(violations(await sources()), []);
  });

  test("import no Node HTTP: its ESM wrapper loads fetch, which slows each start of a process", async () => {
    const importing = [...(await sources())]
      .filter(([, text]) => /^import (?!type\b)[^;]*from "node:https?";$/m.test(text))
      .map(([file]) => file);
    assert.deepEqual(importing, [], "process.getBuiltinModule has it");
  });

  test("are more than a handful, so that the test checks something", async () => {
    assert.ok((await sources()).size > 30);
  });

  test("include the files that the tables name", async () => {
    const tree = await sources();
    const absent = Object.keys(PLATFORM_READERS).filter((file) => !tree.has(file));
    assert.deepEqual(absent, [], "an exception for a file that is gone is a trap for the next of that name");
  });

  test("use every library that the table knows", async () => {
    const specifiers = new Set(
      [...(await sources()).values()].flatMap((text) => pluck(scanSource(text).imports, "specifier")),
    );
    const unused = Object.keys(LIBRARIES).filter(
      (name) => ![...specifiers].some((one) => one === name || one.startsWith(`${name}/`)),
    );
    assert.deepEqual(unused, []);
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
      expected: /^src\/runtime\/a\.ts:2: runtime imports config .* no other folder, because everything/,
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
      name: "a forbidden arrow between sub-folders, with the reason",
      files: {
        "src/gateway/frontend/http/a.ts": 'await import("../../backends/pool/b.ts");',
        "src/gateway/backends/pool/b.ts": "",
      },
      expected:
        /^src\/gateway\/frontend\/http\/a\.ts:1: gateway\/frontend imports gateway\/backends .* whatever answers/,
    },
    {
      name: "a forbidden arrow to what lies directly in a folder",
      files: { "src/web/page/shell/a.ts": 'import { x } from "../../b.ts";', "src/web/b.ts": "" },
      expected: /web\/page imports web .* browser/,
    },
    {
      name: "a circle of sub-folders whose files make none",
      files: {
        "src/shares/drivers/a.ts": 'import "../prober/b.ts";',
        "src/shares/prober/b.ts": "",
        "src/shares/prober/c.ts": 'import "../drivers/d.ts";',
        "src/shares/drivers/d.ts": "",
      },
      expected: /^import cycle: shares\/drivers → shares\/prober → shares\/drivers$/,
    },
    {
      name: "sources that import tests",
      files: { "src/shares/a.ts": 'import { x } from "../../test/support/b.ts";' },
      expected: /sources import sources only/,
    },
    {
      name: "a daemon that a command loads",
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
      name: "a circle of two files",
      files: { "src/shares/a.ts": 'import "./b.ts";', "src/shares/b.ts": 'import type { A } from "./a.ts";' },
      expected: /^import cycle: src\/shares\/a\.ts → src\/shares\/b\.ts → src\/shares\/a\.ts$/,
    },
    ...(
      [
        [
          "a library outside its folder",
          "a",
          'import type { stringify } from "yaml/mini";',
          /yaml, which belongs to/,
        ],
        [
          "a library of no table",
          "a",
          'import x from "@left/pad/deep";',
          /@left\/pad, which the table of lib/,
        ],
        ["a decision that waits", "decide", "export async function d() {}", /waits/],
        [
          "a decision that imports from Node",
          "decide-x",
          'import type { X } from "node:net";',
          /imports node:net/,
        ],
        ["a decision that reads a clock", "decide", "const n = Date.now();", /reads a clock/],
        [
          "a rule that imports a rule",
          "policy/decide-a",
          'import { b } from "./decide-b.ts";',
          /a rule imports a rule/,
        ],
        ["a question that reads a clock", "policy/facts", "const n = Date.now();", /reads a clock/],
        ["a platform read where nothing is picked", "a", "x(process.platform);", /reads process\.platform/],
        ["a default export by another name", "a", "export { x as default };", /default export/],
        ["console outside cli", "a", 'console.error("x");', /writes to the console/],
        ["a file that names nothing", "helpers", "", /"helpers" names no fact/],
      ] as const
    ).map(([name, file, source, expected]) => ({
      name,
      files: { [`src/shares/${file}.ts`]: source },
      expected,
    })),
    {
      name: "a decision that imports the clock",
      files: {
        "src/shares/decide.ts": 'import { systemClock } from "../runtime/time/clock.ts";',
        "src/runtime/time/clock.ts": "",
      },
      expected: /imports the clock/,
    },
  ];
  for (const { name, files, expected } of cases) {
    test(name, () => {
      const found = broken(files);
      assert.equal(found.length, 1, found.join("\n") || "nothing was found");
      assert.match(found[0] ?? "", expected);
    });
  }

  test("nothing in a tree that obeys them", () => {
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
      "src/cli/commands/b.ts": 'await import("./config/a.ts");',
      "src/cli/commands/config/a.ts": 'import { x } from "../c.ts";',
      "src/cli/commands/c.ts": "",
      "src/api/a.ts": 'import type { X } from "../config/b.ts";',
      "src/config/b.ts": 'import { z } from "yaml";\nimport * as node from "node:fs";',
    };
    assert.deepEqual(broken(files), []);
  });
});
