// What is typed for a secret, at a terminal that the test plays.
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { type TestContext, test } from "node:test";
import { promptHidden, readSecretValue } from "../../../src/cli/input/secret-question.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";

function terminal(t: TestContext) {
  const shown: string[] = [];
  t.mock.method(process.stderr, "write", (text: string) => shown.push(text));
  const echoes: boolean[] = [];
  const stdin = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (isRaw: boolean) => echoes.push(!isRaw),
  });
  const abort = new AbortController();
  // Of a terminal, this is all that is used.
  const input = { stdin, signal: abort.signal } as unknown as Parameters<typeof readSecretValue>[1];
  return { stdin, input, abort, shown, echoes };
}

test("E5 a typed value is not echoed, and the terminal echoes again after it, however it ends", async (t) => {
  const { stdin, input, abort, shown, echoes } = terminal(t);
  const typed = readSecretValue("nas", input);
  assert.deepEqual(echoes, [false]);
  for (const keys of ["wrong\x15aé\x7f", "\x1b[200~b\x1b[D", "c\r"]) stdin.write(keys);
  assert.equal(await typed, "abc");
  assert.deepEqual([echoes, stdin.isPaused(), stdin.listenerCount("data")], [[false, true], true, 0]);
  const cut = readSecretValue("nas", input);
  abort.abort(new MountaineerError("aborted", "interrupted"));
  await assert.rejects(cut, { code: "aborted" });
  await assert.rejects(readSecretValue("nas", input), { code: "aborted" }, "it had ended before");
  assert.deepEqual(echoes.slice(2), [false, true, false, true]);
  assert.doesNotMatch(shown.join(""), /abc|wrong/);
});

test("E5 Ctrl-D after a value ends it, as Enter does", async (t) => {
  const { stdin, input } = terminal(t);
  const typed = readSecretValue("nas", input);
  stdin.write("abc\x04");
  assert.equal(await typed, "abc");
});

test("E5 a piped value may be as long as a typed one, with any line end, and without a leading byte order mark", async (t) => {
  for (const [length, end, fits, mark = ""] of [
    [8_000, "\r\n", true],
    [8_001, "\n", false],
    [8_000, "\r\n", true, "\ufeff"],
    [8_001, "", false, "\ufeff"],
    [0, "\n", false, "\ufeff"],
  ] as const) {
    const { stdin, input } = terminal(t);
    stdin.isTTY = false;
    const value = "x".repeat(length);
    const read = readSecretValue("nas", input);
    stdin.end(mark + value + end);
    if (fits) assert.equal(await read, value);
    else await assert.rejects(read, { code: "usage" });
  }
});

test("F3 an invalid value is refused, or asked for again without losing anything else", async (t) => {
  const { stdin, input } = terminal(t);
  const long = readSecretValue("nas", input);
  stdin.write(`${"x".repeat(8_001)}\r`);
  await assert.rejects(long, { code: "usage" });
  const broken = readSecretValue("nas", input);
  stdin.write(Buffer.from([0xff, 0x0d]));
  await assert.rejects(broken, { code: "usage", message: /UTF-8/ });
  const again = promptHidden("Password: ", input);
  stdin.write(`${"x".repeat(8_001)}\r`);
  await new Promise((resolve) => setImmediate(resolve));
  stdin.write("\r");
  assert.equal(await again, "", "a guest has none");
});
