import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { readToolArguments } from "../../../src/cli/input/tool-arguments.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";

const never = new AbortController().signal;
const nothing = Readable.from([]);

test("arguments are an object, of the command line or of stdin; none is an empty one", async () => {
  assert.deepEqual(await readToolArguments(undefined, nothing, never), {});
  assert.deepEqual(await readToolArguments('{"a":[1]}', nothing, never), { a: [1] });
  const bytes = Buffer.from('{"ü":"🎬"}');
  // Cut within a character.
  const stdin = Readable.from([bytes.subarray(0, 3), bytes.subarray(3)]);
  assert.deepEqual(await readToolArguments("-", stdin, never), { ü: "🎬" });
});

test("what is no JSON, or no object, is a mistake of the command line, with an example", async () => {
  for (const given of ["", "path=/tmp", "{'a':1}", "[1]", "null", "7", '"x"', "-"]) {
    await assert.rejects(readToolArguments(given, Readable.from([]), never), (error) => {
      assert.ok(error instanceof MountaineerError);
      assert.equal(error.code, "usage", given);
      assert.match(error.hint ?? "", /mountaineer call TOOL '/);
      return true;
    });
  }
});

test("more than the daemon takes is not read to its end", async () => {
  const endless = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(1024 * 1024, "x");
    })(),
  );
  await assert.rejects(readToolArguments("-", endless, never), { code: "usage", message: /longer than/ });
});

test("waiting for stdin ends at once when it is cancelled", async () => {
  const cancel = new AbortController();
  const reading = readToolArguments("-", new PassThrough(), cancel.signal);
  reading.catch(() => {});
  cancel.abort(new MountaineerError("aborted", "stopped by SIGINT"));
  await assert.rejects(reading, { code: "aborted" });
  await assert.rejects(readToolArguments("-", Readable.from(["{}"]), cancel.signal), { code: "aborted" });
});
