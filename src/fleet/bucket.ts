// The bucket in which machines tell what they are, as JetStream is told to make it: whoever makes it, it is the same one.
import { FORGOTTEN_AFTER_MS } from "./machines.ts";
import { BUCKET, STREAM } from "./subjects.ts";
import { SUMMARY_LIMIT_BYTES } from "./summary.ts";

/** Of a fleet of 1,000 all may listen; a member that makes more of them must not fill the server's memory and disk. */
const MOST_READERS = 1_024;
const NANOS_IN_MS = 1_000_000;

/** No message may replace others than that of its own key, as one with `Nats-Rollup` would. */
export const BUCKET_STREAM = {
  name: STREAM,
  subjects: [`$KV.${BUCKET}.>`],
  description: "what the machines of a Mountaineer fleet tell of themselves",
  retention: "limits",
  storage: "file",
  discard: "new",
  num_replicas: 1,
  max_consumers: MOST_READERS,
  max_msgs: -1,
  max_msgs_per_subject: 1,
  max_bytes: 64 * 1024 * 1024,
  max_msg_size: SUMMARY_LIMIT_BYTES,
  max_age: FORGOTTEN_AFTER_MS * NANOS_IN_MS,
  allow_direct: true,
  deny_delete: true,
  allow_rollup_hdrs: false,
} as const;
