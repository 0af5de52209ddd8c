// Responses read from bytes: however they are cut, the same as Node's own client, and refused where they could be read in
// two ways.
import assert from "node:assert/strict";
import { get } from "node:http";
import { createServer } from "node:net";
import { test } from "node:test";
import { ResponseReader } from "../../../../../src/gateway/backends/transports/http/response-reader.ts";
import { onLoopback } from "../../../../support/on-loopback.ts";
import { fc, runsOf } from "../../../../support/properties.ts";

interface Read {
  status: number;
  type: string | undefined;
  body: string;
  /** It came whole. */
  isWhole: boolean;
  isKept: boolean;
}

const NOTHING: Read = { status: 0, type: undefined, body: "", isWhole: false, isKept: false };

/** Responses that come one after the other, each asked for when the last was read; null: refused. */
function read(pieces: readonly Buffer[], count = 1): readonly Read[] | null {
  const responses: Read[] = [];
  let now = { ...NOTHING };
  const reader = new ResponseReader({
    onHead({ status, headers, isReusable }) {
      now = { ...NOTHING, status, type: headers.get("content-type"), isKept: isReusable };
      responses.push(now);
    },
    onData(piece) {
      now.body += piece.toString("latin1");
    },
    onEnd() {
      now.isWhole = true;
      if (responses.length < count) reader.expect();
    },
  });
  reader.expect();
  for (const piece of pieces) if (!reader.push(piece)) return null;
  reader.finish();
  return responses;
}

const one = (text: string): Read | null | undefined => {
  const responses = read([Buffer.from(text, "latin1")]);
  return responses === null ? null : (responses[0] ?? NOTHING);
};

/** The same by Node's client; null: it refuses. */
async function readByNode(port: number): Promise<Read | null> {
  const { promise, resolve } = Promise.withResolvers<Read | null>();
  get({ host: "127.0.0.1", port, agent: false }, (response) => {
    const found = { ...NOTHING, status: response.statusCode ?? 0, type: response.headers["content-type"] };
    response.setEncoding("latin1").on("data", (text) => {
      found.body += text;
    });
    response.on("error", () => {});
    response.on("close", () => resolve({ ...found, isWhole: response.complete }));
  }).on("error", ({ message }) => resolve(/^Parse Error/.test(message) ? null : NOTHING));
  return promise;
}

const OK = "HTTP/1.1 200 OK\r\n";
/** What Node's client reads as we do. */
const ALIKE: Readonly<Record<string, string>> = {
  "with a length": `${OK}Content-Type: a/b\r\nContent-Length: 3\r\n\r\nabc`,
  "with no body": `${OK}Content-Length: 0\r\n\r\n`,
  "that has none by its status": "HTTP/1.1 204 No Content\r\n\r\n",
  "that ends with the connection": `${OK}content-type:a/b\r\n\r\nabc`,
  "in chunks, with extensions and a trailer": `${OK}Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n`,
  "in chunks, cut off": `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\nab`,
  "cut off in its body": `${OK}Content-Length: 5\r\n\r\nabc`,
  "cut off in its head": `${OK}Content-Le`,
  "after interim ones": `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n${OK}Content-Length: 1\r\n\r\nx`,
  "with an empty reason": "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx",
  "of HTTP/1.0": "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
  "of another protocol": "SSH-2.0-OpenSSH_9.2\r\n",
  "with two lengths": `${OK}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`,
  "with a length and chunks": `${OK}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
  "with a length below nothing": `${OK}Content-Length: -1\r\n\r\n`,
  "with a length that is no number": `${OK}Content-Length: 0x3\r\n\r\nabc`,
  "with a name that has a blank": `${OK}Content-Length : 3\r\n\r\nabc`,
  "with a bare carriage return": `${OK}X-A: b\rc\r\n\r\n`,
  "with a null character": `${OK}X-A: b\0c\r\n\r\n`,
  "with a chunk of no size": `${OK}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`,
  "with a chunk that goes on": `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n`,
  "with a bare line feed in a chunk's extension": `${OK}Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n`,
  "with a trailer that has no colon": `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx\r\n\r\n`,
  "with a head that does not end": `${OK}X-A: ${"a".repeat(100_000)}`,
};

for (const [name, text] of Object.entries(ALIKE))
  test(`a response ${name} is read as by Node`, async (t) => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(text, "latin1"));
    });
    const byNode = await readByNode(await onLoopback(t, server));
    const ours = one(text);
    if (ours === null) assert.ok(byNode === null || !byNode.isWhole, "Node's client reads it whole");
    else assert.deepEqual({ ...ours, isKept: false }, byNode);
  });

test("ambiguous responses are refused", () => {
  for (const head of [
    "Content-Length: 3\r\nContent-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 1e1\r\n",
    "X-A: b\r\n c\r\n",
    "X-A: b\nX-B: c\r\n",
    "no colon\r\n",
  ])
    assert.equal(one(`${OK}${head}\r\nabc`), null, head);
  assert.equal(one("HTTP/1.1 101 Switching Protocols\r\n\r\n"), null);
  assert.equal(one("HTTP/2 200 OK\r\n\r\n"), null);
});

test("a server that sends lines without end is refused", () => {
  const long = "a".repeat(20_000);
  assert.equal(one(`${OK}X-A: ${long}\r\n\r\n`), null);
  assert.equal(one(`${OK}Transfer-Encoding: chunked\r\n\r\n3;${long}\r\n`), null);
  assert.equal(one(`${OK}Transfer-Encoding: chunked\r\n\r\n3;${long}`), null);
  const trailers = "X-A: 0123456789\r\n".repeat(2_000);
  assert.equal(one(`${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n${trailers}`), null);
});

test("unsolicited data is refused: before a question, and after its answer", () => {
  const answer = Buffer.from(`${OK}Content-Length: 1\r\n\r\nx`);
  const unasked = new ResponseReader({ onHead() {}, onData() {}, onEnd() {} });
  assert.equal(unasked.push(answer), false);
  assert.equal(read([answer, answer]), null);
  assert.equal(read([Buffer.concat([answer, answer])]), null);
});

test("a connection is kept according to its version and its head", () => {
  const isKept = (text: string): boolean | undefined => one(text)?.isKept;
  const rest = "Content-Length: 0\r\n\r\n";
  assert.equal(isKept(`${OK}${rest}`), true);
  assert.equal(isKept(`${OK}Connection: Close\r\n${rest}`), false);
  assert.equal(isKept(`${OK}Connection: x, close\r\n${rest}`), false);
  assert.equal(isKept(`${OK}Connection: x,\tclose\r\n${rest}`), false);
  assert.equal(isKept(`HTTP/1.0 200 OK\r\n${rest}`), false);
  assert.equal(isKept(`HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n${rest}`), true);
  assert.equal(isKept(`${OK}\r\nwithout a length`), false);
  const chunks = "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  assert.equal(isKept(`${OK}${chunks}`), true);
  assert.equal(isKept(`HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n${chunks}`), false);
});

test("buffered data is delivered only on release", () => {
  const bodies: string[] = [];
  let isOver = false;
  const reader = new ResponseReader({
    onHead() {},
    onData(piece) {
      bodies.push(piece.toString());
      reader.pause();
    },
    onEnd() {
      isOver = true;
    },
  });
  reader.expect();
  const chunks = ["a", "b", "c"].map((text) => `1\r\n${text}\r\n`).join("");
  assert.ok(reader.push(Buffer.from(`${OK}Transfer-Encoding: chunked\r\n\r\n${chunks}`)));
  assert.ok(reader.push(Buffer.from("0\r\n\r\n")));
  assert.deepEqual(bodies, ["a"]);
  assert.ok(reader.release());
  assert.deepEqual(bodies, ["a", "b"]);
  assert.ok(reader.release());
  assert.equal(isOver, false);
  assert.ok(reader.release());
  assert.deepEqual(bodies, ["a", "b", "c"]);
  assert.equal(isOver, true);
});

test("responses are read the same however the bytes are cut", () => {
  const body = fc.string({ unit: "binary-ascii", maxLength: 300 });
  const response = fc.record({ body, chunks: fc.array(fc.nat(40)), interim: fc.boolean() });
  fc.assert(
    fc.property(fc.array(response, { minLength: 1 }), fc.array(fc.nat(60)), (responses, cuts) => {
      const written = responses.map(({ body, chunks, interim }) => {
        const before = interim ? "HTTP/1.1 100 Continue\r\n\r\n" : "";
        if (chunks.length === 0) return `${before}${OK}Content-Length: ${body.length}\r\n\r\n${body}`;
        let at = 0;
        const parts = [...chunks, body.length].map((size) => {
          const part = body.slice(at, at + size);
          at += part.length;
          return part === "" ? "" : `${part.length.toString(16)}\r\n${part}\r\n`;
        });
        return `${before}${OK}Transfer-Encoding: chunked\r\n\r\n${parts.join("")}0\r\n\r\n`;
      });
      const bytes = Buffer.from(written.join(""), "latin1");
      const pieces: Buffer[] = [];
      let start = 0;
      for (const cut of cuts) {
        pieces.push(bytes.subarray(start, start + cut));
        start += cut;
      }
      pieces.push(bytes.subarray(start));
      const found = read(pieces, responses.length);
      assert.deepEqual(
        found?.map((each) => [each.status, each.body, each.isWhole]),
        responses.map((each) => [200, each.body, true]),
      );
    }),
    { numRuns: runsOf(400) },
  );
});
