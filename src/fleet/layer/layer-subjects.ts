// The bucket of the fleet's layer, as JetStream is told to make it, and the names under which it is written and told of.
import { LARGEST_DOCUMENT_BYTES } from "./signed-layer.ts";

export const LAYER_BUCKET = "mountaineer_fleet_config";
/** What JetStream calls it. */
export const LAYER_STREAM = `KV_${LAYER_BUCKET}`;
/** Its one key. */
export const LAYER_SUBJECT = `$KV.${LAYER_BUCKET}.layer`;
/** Where it is said that there is a new one. */
export const LAYER_NEWS = "mountaineer.fleet.config";

/** Revisions that can be gone back to. */
export const KEPT_REVISIONS = 64;

/** It forgets by number alone, and no message sweeps away others. */
export const LAYER_STREAM_CONFIG = {
  name: LAYER_STREAM,
  subjects: [`$KV.${LAYER_BUCKET}.>`],
  description: "the configuration that the machines of a Mountaineer fleet have in common",
  retention: "limits",
  storage: "file",
  discard: "new",
  num_replicas: 1,
  max_consumers: -1,
  max_msgs: -1,
  max_msgs_per_subject: KEPT_REVISIONS,
  max_bytes: (KEPT_REVISIONS + 4) * LARGEST_DOCUMENT_BYTES,
  max_msg_size: LARGEST_DOCUMENT_BYTES,
  allow_direct: true,
  deny_delete: true,
  allow_rollup_hdrs: false,
} as const;
