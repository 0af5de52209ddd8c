import assert from "node:assert/strict";
import { test } from "node:test";
import { openCallsSession } from "../../../src/fleet/calls/calls-session.ts";
import { callSubject, STREAM } from "../../../src/fleet/subjects.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { needsNats, startNats } from "../nats-rig.ts";

test(
  "G1 what a member has the server deliver from a bucket is no word of another machine",
  needsNats,
  async (t) => {
    const rig = await startNats(t);
    const heard: string[] = [];
    const session = await openCallsSession(
      {
        server: rig.url,
        name: "desktop",
        credentials: { kind: "nkey", seed: rig.key("desktop").seed },
        authority: null,
        clock,
        exports: true,
        imports: true,
        heard: {
          frame: (sender, bytes) => heard.push(`${sender} ${Buffer.from(bytes)}`),
          offer() {},
          asked() {},
          nobodyThere() {},
        },
      },
      new AbortController().signal,
    );
    t.after(() => session[Symbol.asyncDispose]());
    const member = await rig.stranger("stranger");
    const delivered: string[] = [];
    member.subscribe(callSubject("stranger", "desktop"), {
      callback: (_, { data }) => void delivered.push(Buffer.from(data).toString()),
    });
    const ask = async (what: string, question: object): Promise<void> => {
      const { data } = await member.request(`$JS.API.${what}`, JSON.stringify(question));
      assert.equal(JSON.parse(Buffer.from(data).toString()).error, undefined);
    };
    await ask(`STREAM.CREATE.${STREAM}`, { name: STREAM, subjects: ["$KV.mountaineer_fleet.>"] });
    await member.request("$KV.mountaineer_fleet.laptop", "what it told");
    const [deliver_subject, ack_policy] = [callSubject("stranger", "desktop"), "none"];
    await ask(`CONSUMER.CREATE.${STREAM}`, { stream_name: STREAM, config: { deliver_subject, ack_policy } });
    await eventually(async () => {
      member.publish(callSubject("nas", "desktop"), "its own");
      await member.flush();
      return heard.includes("nas its own");
    });
    assert.deepEqual([...new Set(heard)], ["nas its own"]);
  },
);
