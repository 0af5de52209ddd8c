// Passwords in the entries of clients: no part of one stays in what import writes or shows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { importedServer } from "../../src/clients/imported-server.ts";
import { fc } from "../support/properties.ts";

const RUNS = Number(process.env["RUNS"] ?? 300);

const GLUED = (password: string) => ({ command: "mysql", args: ["-u", "ann", `-p${password}`] });

const IN_KEY = (password: string) => ({
  url: "https://a.example/mcp",
  headers: { "X-Api-Key": password },
});

/** Where clients' files have passwords. */
const FORMS: readonly ((password: string) => Record<string, unknown>)[] = [
  (password) => ({ command: "x", args: ["--token", password] }),
  (password) => ({ command: "x", args: [`--token=${password}`, "serve"] }),
  GLUED,
  (password) => ({ command: "mysql", args: [`-p${password}`, "postgres://ann:0therW0rd@db.example/work"] }),
  (password) => ({ command: "x", args: [`API_TOKEN=${password}`] }),
  (password) => ({ command: "docker", args: ["run", "-e", `API_TOKEN=${password}`, "image"] }),
  (password) => ({ command: "x", args: [`postgres://ann:${password}@db.example:5432/work`] }),
  (password) => ({ command: "x", args: [`--dsn=postgres://ann:${password}@db.example/work?sslmode=on`] }),
  (password) => ({ command: "x", args: ["--dsn", `redis://:${password}@db.example/0`] }),
  (password) => ({ command: "x", args: [`https://${password}@git.example/ann/work.git`] }),
  (password) => ({ command: "x", args: [`Server=db;User Id=ann;Password=${ado(password)};Database=work`] }),
  (password) => ({
    command: "x",
    args: [`Driver={ODBC 18};Server=db;UID=ann;PWD=${braced(password)};Database=work`],
  }),
  (password) => ({
    command: "x",
    args: [`jdbc:sqlserver://db:1433;user=ann;password=${braced(password)};encrypt=on`],
  }),
  (password) => ({ command: "x", args: [`jdbc:mysql://ann:${password}@db.example/work`] }),
  (password) => ({
    command: "x",
    args: [`--url=jdbc:mysql://db/work?user=ann&password=${encodeURIComponent(password)}`],
  }),
  (password) => ({ command: "x", env: { API_TOKEN: password, LEVEL: "info" } }),
  (password) => ({ command: "x", env: { DATABASE_URL: `postgres://ann:${password}@db.example/work` } }),
  (password) => ({ command: "x", env: { DB: `Server=db;Uid=ann;Pwd=${ado(password)};Database=work` } }),
  (password) => ({ url: "https://a.example/mcp", headers: { Authorization: `Bearer ${password}` } }),
  IN_KEY,
  (password) => ({ url: `https://ann:${password}@a.example/mcp` }),
  (password) => ({ url: `https://a.example/mcp?token=${encodeURIComponent(password)}&mode=fast` }),
];

/** As ADO.NET writes a value with signs. */
function ado(password: string): string {
  return /[;"'={} ]/.test(password) ? `"${password.replaceAll('"', '""')}"` : password;
}

/** As ODBC writes a value with signs. */
function braced(password: string): string {
  return `{${password.replaceAll("}", "}}")}}`;
}

const letter = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
const password = fc.string({ unit: letter, minLength: 12, maxLength: 24 });

test("E2 no part of a password stays in what import writes or shows, whatever characters it has", () => {
  fc.assert(
    fc.property(fc.constantFrom(...FORMS), password, (form, secret) => {
      const taken = { userHome: "/home/ann", environment: {}, project: null, expands: null } as const;
      const found = importedServer("a", form(secret), { ...taken, client: null, taken: new Set() });
      const { secrets: _, ...shown } = found ?? { secrets: null };
      const texts = textsIn(shown);
      const around = textsIn(form("")).join("\n");
      for (let at = 0; at + 4 <= secret.length; at += 1) {
        const [long, short] = [secret.slice(at, at + 8), secret.slice(at, at + 4)];
        const leaks = (part: string): boolean => texts.some((text) => text.includes(part));
        assert.ok(long.length < 8 || !leaks(long), `${long} of ${secret}: ${JSON.stringify(shown)}`);
        assert.ok(around.includes(short) || !leaks(short), `${short} of ${secret}: ${JSON.stringify(shown)}`);
      }
    }),
    {
      numRuns: RUNS,
      examples: [
        [GLUED, "00aa=!!!!!!!!!"],
        [IN_KEY, "%AAA%!!!!&!!!"],
      ],
    },
  );
});

function textsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
