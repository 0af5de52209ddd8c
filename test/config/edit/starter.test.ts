import assert from "node:assert/strict";
import { mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { NOT_IN_STARTER, starterText, writeStarter } from "../../../src/config/edit/starter.ts";
import { configJsonSchema, SECTIONS } from "../../../src/config/schema/schema.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { assertEach } from "../../support/assert-each.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { accepted } from "../support.ts";

test("the starter is valid, and every beginning of it too", async () => {
  const text = starterText();
  const empty = await accepted("");
  assert.deepEqual((await accepted(text)).config, empty.config);
  for (let length = 0; length < text.length; length += 37) await accepted(text.slice(0, length));
});

test("the starter explains every option, and nothing in it is too wide", () => {
  const lines = starterText().split("\n");
  for (const { name, keys, header, isOpen } of SECTIONS) {
    if ((keys.length === 0 && !isOpen) || NOT_IN_STARTER.includes(name)) continue;
    const backend = name === "backends.headers" ? "search" : "files";
    const written = header.replace("NAME", backend).replace("TOOL", "search_files");
    assert.ok(lines.includes(`#${written}`), header);
    for (const key of keys.filter((key) => !NOT_IN_STARTER.includes(`${name}.${key}`)))
      assert.ok(
        lines.some((line) => line.startsWith(`#${key} = `)),
        key,
      );
  }
  assert.ok(lines.every((line) => line === "" || line.startsWith("#")));
  for (const line of lines) assert.ok(line.length <= 110, line);
});

test("the starter marks an option as required, or gives its default", () => {
  // A long comment goes on in the next line.
  const lines = starterText().replaceAll("(default:\n# ", "(default: ").split("\n");
  const saidOf = (key: string): string =>
    lines[lines.findIndex((line) => line.startsWith(`#${key} = `)) - 1] ?? "";
  assert.match(saidOf("check_interval_secs"), /default: 2\)$/);
  assert.match(saidOf("auto_failback"), /default: false\)$/);
  assert.match(saidOf("share_name"), /default: /);
  const required = lines.filter((line) => line.endsWith("required)"));
  assert.ok(required.length > 0 && required.length < lines.length / 20, `${required.length} are required`);
});

test("the starter's options work when their # is removed", async () => {
  const active = starterText().replaceAll(/^#(?! |:|$|\n)/gm, "");
  const { config } = await accepted(active);
  assert.equal(config.shares[0]?.name, "CORE");
  const empty = (await accepted("")).config;
  assert.deepEqual(config.global, empty.global);
  assert.deepEqual(config.sync, empty.sync);
  const [megabyte, second] = [1024 * 1024, 1000];
  const drainTimeoutMs = 30 * second;
  assert.deepEqual(config.server, {
    host: "127.0.0.1",
    port: 9000,
    publicUrl: "https://mcp.example.com/mcp",
    allowedOrigins: ["http://localhost:6274"],
    sessionKey: [{ kind: "stored", name: "session-key" }],
    bodyLimitBytes: 64 * megabyte,
    drainTimeoutMs,
    management: { enabled: true, allowCommands: false, allowedHosts: ["nas.example.com"] },
  });
  assertEach(config.backends, ({ name, connection }) => [name, connection.type], [
    ["files", "stdio"],
    ["search", "streamable-http"],
  ]);
  assert.deepEqual(config.conflictResolution, empty.conflictResolution);
  assert.equal(config.incomingAuth.type, "jwt");
  assert.equal(config.authorization?.policies.length, 1);
  assert.equal(config.audit?.keep, 5);
});

test("a block of the starter works without the others, with the blocks it belongs to", async () => {
  const active = starterText().replaceAll(/^#(?! |:|$|\n)/gm, "");
  const blocks = active.split(/^(?=\[)/m).slice(1);
  for (const block of blocks) {
    const path = /^\[+([^\]]+)/.exec(block)?.[1]?.split(".") ?? [];
    const around = blocks.filter((other) => {
      const name = /^\[+([^\]]+)/.exec(other)?.[1] ?? "";
      if (path[0] === "groups" || path[0] === "profiles") {
        if (["shares", "backends.files", "groups.files"].includes(name)) return true;
      }
      if ((path[0] === "aliases" || path[0] === "backends") && name === "shares") return true;
      return path.length > 1 && (name === path.slice(0, -1).join(".") || name === path.slice(0, 2).join("."));
    });
    const text = [...new Set([...around, block])].join("");
    await assert.doesNotReject(accepted(text), text);
  }
});

test("the starter explains the two recovery toggles together", () => {
  assert.match(starterText(), /Both off = only when you say so/);
});

test("the starter is written private, and never over an existing file", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "home", "config.toml");
  assert.deepEqual(await writeStarter(path), { existed: false });
  assert.equal(await readFile(path, "utf8"), starterText());
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await stat(join(folder, "home"))).mode & 0o777, 0o700);
  await writeFile(path, "# mine\n");
  assert.deepEqual(await writeStarter(path), { existed: true });
  assert.equal(await readFile(path, "utf8"), "# mine\n");
});

test("the starter's first line names the schema that is written next to it, never over another", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "config.toml");
  await writeStarter(path);
  const [, name] = /^#:schema \.\/(\S+)\n/.exec(await readFile(path, "utf8")) ?? [];
  assert.ok(name !== undefined);
  const schema = await readFile(join(folder, name), "utf8");
  assert.deepEqual(JSON.parse(schema), configJsonSchema());
  const other = join(folder, "other");
  await mkdir(other);
  await writeFile(join(other, name), "mine");
  assert.deepEqual(await writeStarter(join(other, "config.toml")), { existed: false });
  assert.equal(await readFile(join(other, name), "utf8"), "mine");
});

test("a dangling link counts as an existing file", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "config.toml");
  await symlink(join(folder, "nowhere"), path);
  assert.deepEqual(await writeStarter(path), { existed: true });
  await assert.rejects(stat(join(folder, "nowhere")));
});

test("a home that cannot be made is home_unwritable", async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "file"), "");
  await assert.rejects(writeStarter(join(folder, "file", "config.toml")), (error) => {
    return error instanceof MountaineerError && error.code === "home_unwritable";
  });
});
