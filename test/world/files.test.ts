// What people keep in files of other programs, and what `import` makes of it: rows of data in `files/`.
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { parse, stringify } from "yaml";
import { withBackends } from "../../src/clients/backend-block.ts";
import { CLIENT_NAMES, CLIENTS } from "../../src/clients/client.ts";
import { editedClientText } from "../../src/clients/client-edit.ts";
import { clientValues } from "../../src/clients/client-text.ts";
import { planImport } from "../../src/clients/import-plan.ts";
import { importedServer } from "../../src/clients/imported-server.ts";
import { readFoundFiles } from "../../src/clients/read-files.ts";
import type { ConfigTable } from "../../src/config/edit/edit-value.ts";
import { parseConfig } from "../../src/config/read/load.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

interface Row {
  readonly source: string;
  /** The path; PROJECT and HOME stand for the two folders, here and below. */
  readonly file: string;
  /** What the file holds: its text, or a value that is written in its format. */
  readonly text?: string;
  readonly holds?: unknown;
  /** Other files, their text by path. */
  readonly beside?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** The backends' tables by name, in order. */
  readonly becomes: Readonly<Record<string, ConfigTable>>;
  /** By name: why a server is disabled, why it is refused, what is said of it; parts of the text. */
  readonly off?: Readonly<Record<string, string>>;
  readonly refused?: Readonly<Record<string, string>>;
  readonly said?: Readonly<Record<string, string>>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly wanted?: readonly string[];
  /** Entries that are no servers, with the reason unless it is the usual one. */
  readonly empty?: readonly (string | Readonly<Record<string, string>>)[];
}

async function rowsOf(name: string): Promise<readonly Row[]> {
  return parse(await readFile(join(import.meta.dirname, "files", name), "utf8"));
}

for (const name of ["real.yaml", "made.yaml"]) {
  describe(`D9 F1 ${name}`, async () => {
    for (const row of await rowsOf(name)) {
      it(`D9 F1 ${row.source}`, async (t) => {
        const scratch = await temporaryFolder(t);
        const placed = <Value>(value: Value): Value =>
          JSON.parse(
            JSON.stringify(value ?? {}).replace(/\b(?:PROJECT|HOME)\b/g, (word) => `${scratch}/${word}`),
          );
        const path = placed(row.file);
        await mkdir(dirname(path), { recursive: true });
        const write = path.endsWith(".yaml") ? stringify : JSON.stringify;
        await writeFile(path, row.text ?? write(placed(row.holds)));
        for (const [other, text] of Object.entries(placed(row.beside ?? {}))) {
          await mkdir(dirname(other), { recursive: true });
          await writeFile(other, text);
        }
        const userHome = join(scratch, "HOME");
        const surroundings = { userHome, environment: row.environment ?? {}, folder: scratch };
        const files = await readFoundFiles([{ path }], surroundings, new Set());
        const { added } = planImport(files, {});

        const place = {
          home: join(userHome, ".mountaineer"),
          userHome,
          userName: "ann",
          defaultMountRoot: "/mnt",
        };
        const sound: (typeof added)[number][] = [];
        const refused: Record<string, string | null> = {};
        for (const one of added) {
          const block = await withBackends("", "toml", [one]);
          const loaded = await parseConfig(Buffer.from(block), "import.toml", place);
          if (loaded.ok) sound.push(one);
          else refused[one.name] = one.problem ?? loaded.mistakes[0]?.expected ?? null;
        }
        const tables = Object.fromEntries(sound.map((one) => [one.name, one.table]));
        assert.deepEqual(tables, placed(row.becomes));
        const said = (texts: Readonly<Record<string, string | null>>, expected: Row["off"] = {}) => {
          assert.deepEqual(Object.keys(texts), Object.keys(expected));
          for (const [server, text] of Object.entries(texts))
            assert.match(text ?? "", new RegExp(expected[server] ?? ""));
        };
        const problems = sound.filter(({ problem }) => problem !== null);
        said(Object.fromEntries(problems.map((one) => [one.name, one.problem])), row.off);
        said(refused, row.refused);
        const remarked = sound.filter(({ remarks }) => remarks.length > 0);
        said(Object.fromEntries(remarked.map((one) => [one.name, one.remarks.join("\n")])), row.said);
        assert.deepEqual(Object.fromEntries(sound.flatMap((one) => [...one.secrets])), row.secrets ?? {});
        assert.deepEqual(
          sound.flatMap(({ wanted }) => wanted),
          row.wanted ?? [],
        );
        assert.deepEqual(
          files.flatMap(({ empty }) =>
            empty.map(({ name, why }) => (why.startsWith("it neither") ? name : { [name]: why })),
          ),
          row.empty ?? [],
        );
        const written = await withBackends("", "toml", sound);
        // Shorter ones may be a part of any word.
        for (const secret of Object.values(row.secrets ?? {}).filter((one) => one.length > 4))
          assert.ok(!written.includes(secret), secret);
      });
    }
  });
}

describe("D9 F1 values.yaml", async () => {
  const values: Readonly<Record<"secret" | "plain", readonly string[]>> = parse(
    await readFile(join(import.meta.dirname, "files/values.yaml"), "utf8"),
  );
  /** What becomes of one value: the server's table as text, and its secrets. */
  const kept = (row: string) => {
    const [, place = "", value = ""] = /^(\S+) (.*)$/s.exec(row) ?? [];
    const isVariable = place.endsWith("=");
    const args = place === "-" ? ["serve", value] : [place, value];
    const entry = isVariable ? { env: { [place.slice(0, -1)]: value } } : { args };
    const surroundings = { userHome: "/home/ann", environment: {}, project: null, expands: null };
    const options = { ...surroundings, client: null, taken: new Set<string>() };
    const server = importedServer("x", { command: "server", ...entry }, options);
    return { value, table: JSON.stringify(server?.table), secrets: [...(server?.secrets.values() ?? [])] };
  };

  for (const row of values.secret) {
    it(`D9 F1 a secret leaves nothing in the file: ${row.slice(0, 40)}`, () => {
      const { value, table, secrets } = kept(row);
      const [secret = "", ...others] = secrets;
      assert.deepEqual(others, []);
      assert.equal(secret, value.replace(/^API_KEY=/, ""));
      for (const part of secret.match(/[A-Za-z0-9]{6,}/g) ?? [secret])
        assert.ok(!table.replace(/secret:[\w.-]+/g, "").includes(part), `${part} in ${table}`);
    });
  }

  for (const row of values.plain) {
    it(`D9 F1 a plain value stays unchanged: ${row}`, () => {
      const { value, table, secrets } = kept(row);
      assert.deepEqual(secrets, []);
      assert.ok(table.includes(JSON.stringify(value)), table);
    });
  }
});

describe("D9 F1 written.yaml", async () => {
  const rows: Readonly<Record<string, { readonly holds: unknown }>> = parse(
    await readFile(join(import.meta.dirname, "files/written.yaml"), "utf8"),
  );
  const connected = CLIENT_NAMES.filter((name) => CLIENTS[name].isConnected);

  it("D9 F1 each client that can be connected has a row", () => {
    assert.deepEqual(Object.keys(rows), connected);
  });

  for (const name of connected) {
    it(`D9 F1 ${CLIENTS[name].title} is given an entry of its form`, async () => {
      const program = { command: "/opt/mountaineer", args: ["mcp"], env: { MOUNTAINEER_HOME: "/srv/m" } };
      const changes = [{ name: "mountaineer", entry: CLIENTS[name].entry(program) }];
      const text = await editedClientText(CLIENTS[name], "", changes);
      const values = await clientValues(text, `x.${CLIENTS[name].format}`);
      assert.deepEqual(JSON.parse(JSON.stringify(values)), rows[name]?.holds);
    });
  }
});
