// The entries of a zip archive.
import assert from "node:assert/strict";
import { test } from "node:test";
import { zipEntries } from "../../../src/runtime/files/zip.ts";
import { zipOf } from "./zip.ts";

test("all entries of an archive are read in its order, each with its content and within the limit", async () => {
  const files = [
    { name: "go/bin/go", content: "program ".repeat(1_000) },
    { name: "go/empty", content: "" },
    { name: "go/stored", content: "as it is", isStored: true },
  ];
  const found: { readonly name: string; readonly content: string }[] = [];
  for (const { name, read } of zipEntries(zipOf(files)))
    found.push({ name, content: (await read(8_000)).toString() });
  assert.deepEqual(
    found,
    files.map(({ name, content }) => ({ name, content })),
  );
  const [first] = zipEntries(zipOf(files));
  await assert.rejects(first?.read(7_999) ?? Promise.resolve(), /too large: 8000 bytes, at most 7999/);
  assert.deepEqual([...zipEntries(zipOf([]))], []);
  assert.throws(() => [...zipEntries(zipOf(files).subarray(10))], /directory is broken|out of range/);
});
