// Bundles are unpacked whole or refused with the reason, whatever the archive says of itself.
import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { unpackBundle } from "../../src/clients/bundle.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { zipOf } from "./zip.ts";

const MANIFEST = {
  name: "manifest.json",
  content: JSON.stringify({ name: "notes", server: { type: "binary", entry_point: "bin/notes" } }),
};
const LINK = 0o120777;

test("F1 a bundle's files and folders are there with their contents, and its program may be run", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "notes.mcpb");
  const files = [
    MANIFEST,
    { name: "bin/", content: "" },
    { name: "bin/notes", content: "#!/bin/sh\n".repeat(1_000) },
    { name: "data/empty", content: "", mode: 0o100644 },
    { name: "stored", content: "as it is", isStored: true },
  ];
  await writeFile(path, zipOf(files));
  const to = join(folder, "unpacked");
  assert.equal((await unpackBundle(path, to))["name"], "notes");
  for (const { name, content } of files)
    if (!name.endsWith("/")) assert.equal(await readFile(join(to, name), "utf8"), content);
  assert.equal((await stat(join(to, "bin/notes"))).mode & 0o777, 0o755);
  assert.equal((await stat(join(to, "stored"))).mode & 0o777, 0o644);
});

test("F1 a bundle that is damaged, lies or leads elsewhere is refused with the reason", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "notes.mcpb");
  const whole = zipOf([MANIFEST]);
  for (const [what, bytes, expected] of [
    ["no archive", Buffer.from("<html>"), /central directory/],
    ["cut at its beginning", whole.subarray(10), /notes\.mcpb is not a bundle/],
    ["without a manifest", zipOf([{ name: "x", content: "x" }]), /manifest\.json/],
    ["a link", zipOf([MANIFEST, { name: "x", content: "/etc", mode: LINK }]), /x is a link or a device/],
    [
      "a name that leads out",
      zipOf([MANIFEST, { name: "a/../../x", content: "x" }]),
      /relative path|leads out/,
    ],
    ["an absolute name", zipOf([MANIFEST, { name: "/etc/x", content: "x" }]), /absolute path|leads out/],
    ["a backslash", zipOf([MANIFEST, { name: "a\\x", content: "x" }]), /invalid characters|leads out/],
    ["a name twice", zipOf([MANIFEST, { name: "Manifest.json", content: "{}" }]), /there twice/],
    ["another checksum", zipOf([{ ...MANIFEST, saidChecksum: 1 }]), /manifest\.json is damaged/],
    ["less than there is", zipOf([{ ...MANIFEST, saidBytes: 10 }]), /too many bytes/],
    ["a bomb", zipOf([MANIFEST, { name: "zeros", content: Buffer.alloc(5_000_000) }]), /more than 100 to 1/],
  ] as const) {
    await writeFile(path, bytes);
    await assert.rejects(
      unpackBundle(path, join(folder, what)),
      { code: "client_unreadable", message: expected },
      what,
    );
  }
});
