// What is asked of JetStream about the fleet's layer, over a connection that is there: plain questions, no consumers.
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { isObject, jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import {
  KEPT_REVISIONS,
  LAYER_NEWS,
  LAYER_STREAM,
  LAYER_STREAM_CONFIG,
  LAYER_SUBJECT,
} from "./layer-subjects.ts";
import { LARGEST_DOCUMENT_BYTES } from "./signed-layer.ts";

const ANSWER_MS = 5_000;
/** Codes of JetStream. */
const STREAM_NOT_FOUND = 10_059;
const NO_MESSAGE = 10_037;
const WRONG_LAST_SEQUENCE = 10_071;
const STREAM_NAME_IN_USE = 10_058;

/** What stands in the bucket, whoever wrote it. */
export interface StoredLayer {
  readonly sequence: number;
  readonly document: Uint8Array;
}

export type LayerBucket = ReturnType<typeof openLayerBucket>;

/** `onNews` is called when somebody says that there is a new one. Throws nothing; ends with the connection. */
export function openLayerBucket(connection: NatsConnection, onNews: () => void) {
  connection.subscribe(LAYER_NEWS, {
    callback(error) {
      // Without that permission it is found by looking.
      if (error === null) onNews();
    },
  });

  const ask = async (
    subject: string,
    question: string,
    expected: number | null = null,
  ): Promise<Record<string, unknown>> => {
    const head = headers();
    if (expected !== null) head.set("Nats-Expected-Last-Subject-Sequence", String(expected));
    try {
      const { data } = await connection.request(subject, question, { timeout: ANSWER_MS, headers: head });
      const answer = jsonObject(new TextDecoder().decode(data));
      if (answer !== null) return answer;
      throw new Error("it answers no JSON");
    } catch (error) {
      throw failureOf(error, subject);
    }
  };
  const message = async (question: object): Promise<StoredLayer | null> => {
    const answer = await ask(`$JS.API.STREAM.MSG.GET.${LAYER_STREAM}`, JSON.stringify(question));
    const code = errorCode(answer);
    if (code === STREAM_NOT_FOUND || code === NO_MESSAGE) return null;
    if (code !== null) throw refusedBy(answer);
    return storedOf(answer);
  };
  const make = async (): Promise<void> => {
    const answer = await ask(`$JS.API.STREAM.CREATE.${LAYER_STREAM}`, JSON.stringify(LAYER_STREAM_CONFIG));
    const code = errorCode(answer);
    if (code !== null && code !== STREAM_NAME_IN_USE) throw refusedBy(answer);
  };
  const exists = async (): Promise<boolean> => {
    const answer = await ask(`$JS.API.STREAM.INFO.${LAYER_STREAM}`, "");
    const code = errorCode(answer);
    if (code !== null && code !== STREAM_NOT_FOUND) throw refusedBy(answer);
    return code === null;
  };

  return {
    /** Null: there is none. Rejects with `fleet_unreachable`. */
    newest: (): Promise<StoredLayer | null> => message({ last_by_subj: LAYER_SUBJECT }),
    /** Newest first. Rejects likewise. */
    async history(): Promise<readonly StoredLayer[]> {
      const all: StoredLayer[] = [];
      for (let from = 1; all.length < KEPT_REVISIONS; ) {
        const next = await message({ seq: from, next_by_subj: LAYER_SUBJECT });
        if (next === null) break;
        all.push(next);
        from = next.sequence + 1;
      }
      return all.toReversed();
    },
    /**
     * Puts one in the place of what has this sequence (0: of none), and says so to all. Resolves with false when something
     * else stands there. Rejects with `fleet_unreachable`, and with `permission_denied` where the server does not let this
     * machine.
     */
    async put(document: string, previous: number): Promise<boolean> {
      if (previous === 0 && !(await exists())) await make();
      const answer = await ask(LAYER_SUBJECT, document, previous);
      const code = errorCode(answer);
      if (code === WRONG_LAST_SEQUENCE) return false;
      if (code !== null) throw refusedBy(answer);
      connection.publish(LAYER_NEWS);
      return true;
    },
  };
}

function storedOf(answer: Record<string, unknown>): StoredLayer {
  const { seq, data, hdrs } = objectOf(answer["message"]);
  // Removed, by whoever may.
  const isMarker = typeof hdrs === "string" && /KV-Operation/i.test(Buffer.from(hdrs, "base64").toString());
  const text = typeof data === "string" && !isMarker ? data : "";
  if (text.length > 2 * LARGEST_DOCUMENT_BYTES) {
    return { sequence: Number(seq), document: Buffer.alloc(LARGEST_DOCUMENT_BYTES + 1) };
  }
  return { sequence: Number(seq), document: Buffer.from(text, "base64") };
}

function errorCode({ error }: Record<string, unknown>): number | null {
  if (error === undefined) return null;
  return isObject(error) && typeof error["err_code"] === "number" ? error["err_code"] : 0;
}

function refusedBy({ error }: Record<string, unknown>): MountaineerError {
  const why = String(objectOf(error)["description"] ?? "it gives no reason").slice(0, 200);
  return new MountaineerError("fleet_unreachable", `JetStream refuses: ${why}`, { retry: "later" });
}

function failureOf(error: unknown, subject: string): MountaineerError {
  const why = errorText(error);
  if (!/permissions? violation/i.test(why)) {
    return new MountaineerError("fleet_unreachable", `the fleet's server does not answer: ${why}`, {
      cause: error,
      retry: "later",
    });
  }
  return new MountaineerError(
    "permission_denied",
    `the fleet's server does not permit ${subject} to this machine`,
    {
      cause: error,
      hint: "docs/fleet.md lists what a machine needs",
    },
  );
}
