// The bucket of the common configuration, over an open connection: plain requests to JetStream, no consumers.
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { type JsonMembers, jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import { BUCKET_DEFAULTS, listen, STREAM_NAME_IN_USE, STREAM_NOT_FOUND } from "../nats/connection.ts";
import { LAYER_BUCKET, LAYER_NEWS, LAYER_STREAM, LAYER_SUBJECT } from "../nats/subjects.ts";
import { LARGEST_DOCUMENT_BYTES } from "./signed-layer.ts";

const ANSWER_MS = 5_000;
/** Error codes of JetStream. */
const NO_MESSAGE = 10_037;
const WRONG_LAST_SEQUENCE = 10_071;

/** Revisions that the bucket keeps for a rollback. */
const KEPT_REVISIONS = 64;

export const LAYER_STREAM_CONFIG = {
  ...BUCKET_DEFAULTS,
  name: LAYER_STREAM,
  subjects: [`$KV.${LAYER_BUCKET}.>`],
  description: "the configuration that the machines of a Mountaineer fleet have in common",
  max_consumers: -1,
  max_msgs_per_subject: KEPT_REVISIONS,
  max_bytes: (KEPT_REVISIONS + 4) * LARGEST_DOCUMENT_BYTES,
  max_msg_size: LARGEST_DOCUMENT_BYTES,
} as const;

/** An entry of the NATS bucket, not yet checked. */
export interface StoredLayer {
  readonly sequence: number;
  readonly document: Uint8Array;
}

export type LayerBucket = ReturnType<typeof openLayerBucket>;

/**
 * Opens the NATS bucket of the shared configuration. `onNews` is called when a machine announces a new revision.
 * Never throws.
 */
export function openLayerBucket(connection: NatsConnection, onNews: () => void) {
  // If the server does not permit this subscription, the regular check of the bucket finds new revisions.
  listen(connection, LAYER_NEWS, onNews, () => {});

  /**
   * Sends a request to JetStream, and resolves with the answer. Rejects with `fleet_unreachable` for an error
   * whose code is not in `expected`. `last`: JetStream refuses the request unless the newest message of the
   * subject has this sequence.
   */
  const request = async (
    subject: string,
    question: string,
    expected: readonly number[],
    last: number | null = null,
  ): Promise<{ readonly answer: JsonMembers; readonly code: number | null }> => {
    const head = headers();
    if (last !== null) head.set("Nats-Expected-Last-Subject-Sequence", String(last));
    const asking = connection.request(subject, question, { timeout: ANSWER_MS, headers: head });
    const { data } = await asking.catch((error: unknown) => {
      throw failureOf(error, subject);
    });
    const answer = jsonObject(new TextDecoder().decode(data));
    if (answer === null) throw failureOf("it answers no JSON", subject);
    const { error } = answer;
    if (error === undefined) return { answer, code: null };
    const { err_code: code, description = "it gives no reason" } = objectOf(error);
    if (typeof code === "number" && expected.includes(code)) return { answer, code };
    const why = String(description).slice(0, 200);
    throw new MountaineerError("fleet_unreachable", `JetStream refuses: ${why}`, { retry: "later" });
  };
  const message = async (question: object): Promise<StoredLayer | null> => {
    const subject = `$JS.API.STREAM.MSG.GET.${LAYER_STREAM}`;
    const expected = [STREAM_NOT_FOUND, NO_MESSAGE];
    const { answer, code } = await request(subject, JSON.stringify(question), expected);
    return code === null ? storedOf(answer) : null;
  };

  return {
    /** null: the bucket is empty. Rejects with `fleet_unreachable`. */
    newest: (): Promise<StoredLayer | null> => message({ last_by_subj: LAYER_SUBJECT }),
    /** Newest first. Rejects as `newest` does. */
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
     * Stores the document as the newest entry, and announces it. `previous`: the sequence number of the entry that
     * the caller has seen; 0: none. Resolves with false if another entry has become the newest meanwhile. Rejects
     * with `fleet_unreachable`, and with `permission_denied` if the server does not let this machine write.
     */
    async put(document: string, previous: number): Promise<boolean> {
      if (previous === 0) {
        const found = await request(`$JS.API.STREAM.INFO.${LAYER_STREAM}`, "", [STREAM_NOT_FOUND]);
        const config = JSON.stringify(LAYER_STREAM_CONFIG);
        if (found.code !== null)
          await request(`$JS.API.STREAM.CREATE.${LAYER_STREAM}`, config, [STREAM_NAME_IN_USE]);
      }
      const { code } = await request(LAYER_SUBJECT, document, [WRONG_LAST_SEQUENCE], previous);
      if (code !== null) return false;
      connection.publish(LAYER_NEWS);
      return true;
    },
  };
}

function storedOf(answer: JsonMembers): StoredLayer {
  const { seq, data, hdrs } = objectOf(answer["message"]);
  // The entry can be a deletion, because a member that may write the key can also delete it.
  const isDeletion = typeof hdrs === "string" && /KV-Operation/i.test(Buffer.from(hdrs, "base64").toString());
  const text = typeof data === "string" && !isDeletion ? data : "";
  const isTooLong = text.length > 2 * LARGEST_DOCUMENT_BYTES;
  const document = isTooLong ? Buffer.alloc(LARGEST_DOCUMENT_BYTES + 1) : Buffer.from(text, "base64");
  return { sequence: Number(seq), document };
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
