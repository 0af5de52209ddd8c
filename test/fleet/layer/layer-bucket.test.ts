import assert from "node:assert/strict";
import { test } from "node:test";
import type { Msg, MsgCallback, MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import { openLayerBucket } from "../../../src/fleet/layer/layer-bucket.ts";
import { LARGEST_DOCUMENT_BYTES } from "../../../src/fleet/layer/signed-layer.ts";
import { LAYER_NEWS } from "../../../src/fleet/nats/subjects.ts";

interface Asked {
  readonly subject: string;
  readonly text: string;
  readonly last: string;
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const failure = (code: number, description?: string) => ({ error: { err_code: code, description } });

/** A bucket whose server answers by `answer`: with this object as JSON, or with bytes. */
function bucketOf(answer: (asked: Asked) => object | string) {
  const asked: Asked[] = [];
  const published: string[] = [];
  const heard: MsgCallback<Msg>[] = [];
  const connection = {
    subscribe: (_: string, { callback }: { callback: MsgCallback<Msg> }) => heard.push(callback),
    publish: (subject: string) => void published.push(subject),
    async request(subject: string, text: string, { headers }: { headers: MsgHdrs }) {
      const one = { subject, text, last: headers.get("Nats-Expected-Last-Subject-Sequence") };
      asked.push(one);
      const said = answer(one);
      return { data: Buffer.from(typeof said === "string" ? said : JSON.stringify(said)) } as unknown as Msg;
    },
  };
  let news = 0;
  // The bucket uses these three of the connection's methods.
  const bucket = openLayerBucket(connection as unknown as NatsConnection, () => news++);
  return {
    bucket,
    asked,
    published,
    hear: (error: Error | null) => heard[0]?.(error, { subject: LAYER_NEWS } as Msg),
    news: () => news,
  };
}

test("G1 a bucket of the common configuration: of an endless history the last look is at revision 64", async () => {
  const { bucket, asked } = bucketOf(({ text }) => ({
    message: { seq: JSON.parse(text).seq + 1, data: base64("x") },
  }));
  const history = await bucket.history();
  assert.equal(history.length, 64);
  assert.deepEqual([history[0]?.sequence, history.at(-1)?.sequence, asked.length], [128, 2, 64]);
  const short = bucketOf(({ text }) =>
    JSON.parse(text).seq > 4 ? failure(10_037) : { message: { seq: 4, data: base64("x") } },
  );
  assert.deepEqual(
    (await short.bucket.history()).map(({ sequence }) => sequence),
    [4],
  );
});

test("G1 a bucket of the common configuration: an entry that was removed, or is too long, is no document", async () => {
  const found = async (message: object): Promise<number | undefined> =>
    (await bucketOf(() => ({ message })).bucket.newest())?.document.length;
  assert.equal(await found({ seq: 1, data: base64("four") }), 4);
  assert.equal(
    await found({ seq: 1, data: base64("four"), hdrs: base64("NATS/1.0\r\nKV-Operation: DEL\r\n") }),
    0,
  );
  assert.equal(await found({ seq: 1, data: base64("four"), hdrs: base64("NATS/1.0\r\nOther: x\r\n") }), 4);
  assert.equal(await found({ seq: 1 }), 0);
  assert.equal(
    await found({ seq: 1, data: "A".repeat(2 * LARGEST_DOCUMENT_BYTES + 4) }),
    LARGEST_DOCUMENT_BYTES + 1,
  );
  for (const empty of [10_059, 10_037])
    assert.equal(await bucketOf(() => failure(empty)).bucket.newest(), null);
});

test("G1 a bucket of the common configuration: any other answer is a failure, with the server's words cut", async () => {
  const cases: readonly [answer: () => object | string, code: string, message: RegExp][] = [
    [() => "[]", "fleet_unreachable", /does not answer: it answers no JSON/],
    [() => failure(10_071, "z".repeat(1_000)), "fleet_unreachable", /^JetStream refuses: z{200}$/],
    [() => ({ error: { description: "odd" } }), "fleet_unreachable", /refuses: odd/],
    [() => ({ error: "odd" }), "fleet_unreachable", /it gives no reason/],
    [() => assert.fail("timed out"), "fleet_unreachable", /does not answer: timed out/],
    [
      () => assert.fail("Permissions Violation for Publish"),
      "permission_denied",
      /does not permit \$JS\.API\.STREAM\.MSG\.GET/,
    ],
  ];
  for (const [answer, code, message] of cases)
    await assert.rejects(bucketOf(answer).bucket.newest(), { code, message });
});

test("G1 a bucket of the common configuration: it is made for the first entry, and each entry is announced", async () => {
  const made = bucketOf(({ subject }) => (subject.includes(".INFO.") ? failure(10_059) : {}));
  assert.equal(await made.bucket.put("first", 0), true);
  assert.deepEqual(
    made.asked.map(({ subject }) => subject.replace(/.*STREAM\./, "")),
    [
      "INFO.KV_mountaineer_fleet_config",
      "CREATE.KV_mountaineer_fleet_config",
      "$KV.mountaineer_fleet_config.layer",
    ],
  );
  assert.equal(made.asked.at(-1)?.last, "0");
  assert.deepEqual(made.published, ["mountaineer.fleet.config"]);
  const known = bucketOf(() => ({}));
  await known.bucket.put("first", 0);
  assert.equal(known.asked.length, 2, "a bucket that is there is not made");
  const next = bucketOf(() => ({}));
  assert.equal(await next.bucket.put("second", 7), true);
  assert.deepEqual(
    next.asked.map(({ text, last }) => [text, last]),
    [["second", "7"]],
  );
  const raced = bucketOf(({ subject }) =>
    failure(subject.includes(".CREATE.") ? 10_058 : subject.includes(".INFO.") ? 10_059 : 10_071),
  );
  assert.equal(await raced.bucket.put("first", 0), false);
  assert.deepEqual(raced.published, [], "what another machine wrote meanwhile is not announced");
});

test("G1 a bucket of the common configuration: news that the server does not permit is no news", () => {
  const { hear, news } = bucketOf(() => ({}));
  hear(new Error("Permissions Violation"));
  assert.equal(news(), 0);
  hear(null);
  assert.equal(news(), 1);
});
