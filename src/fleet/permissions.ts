// What a machine needs of a server, subject by subject, and what it should not have: as docs/fleet.md lists it. Pure.
import { LAYER_NEWS, LAYER_STREAM, LAYER_SUBJECT } from "./layer/layer-subjects.ts";
import {
  askSubject,
  BUCKET,
  beatSubject,
  callSubject,
  inboxOf,
  keySubject,
  offerSubject,
  rollCallSubject,
  STREAM,
} from "./subjects.ts";

export interface Permission {
  readonly may: "publish" | "subscribe";
  /** One that stands for all of its kind, where a machine uses many. */
  readonly subject: string;
  /** What the machine does by it; of what is too much: what it could do. */
  readonly purpose: string;
}

export interface MachineUse {
  readonly name: string;
  /** It exports or imports. */
  readonly calls: boolean;
  /** It shares its clients' sessions with other machines. */
  readonly sessions: boolean;
  /** It signs what all have in common. */
  readonly signs: boolean;
  /** Its key was let in by a code, and is exchanged by asking. */
  readonly asksForKeys: boolean;
}

/** No machine: under its name nobody tells anything. */
export const NOBODY = "mountaineer-permission-probe";

/** In the order of the table. */
export function neededBy({ name, calls, sessions, signs, asksForKeys }: MachineUse): readonly Permission[] {
  const publish = (purpose: string, ...subjects: readonly string[]): Permission[] =>
    subjects.map((subject) => ({ may: "publish", subject, purpose }));
  const subscribe = (purpose: string, ...subjects: readonly string[]): Permission[] =>
    subjects.map((subject) => ({ may: "subscribe", subject, purpose }));
  const lending = "export and import";
  const streams = calls ? (sessions ? `${lending}, and sessions` : lending) : "sessions";
  const reading = "reading what others tell";
  const config = "reading the fleet's configuration";
  const writing = "writing the fleet's configuration";
  return [
    ...publish("telling what it is", `$KV.${BUCKET}.${name}`),
    ...publish("showing that it is there", beatSubject(name)),
    ...publish("asking who is there", rollCallSubject(name)),
    ...(calls ? publish(lending, offerSubject(name), askSubject(name)) : []),
    ...(calls || sessions ? publish(streams, callSubject(name, NOBODY)) : []),
    ...(asksForKeys ? publish("exchanging its key", keySubject(name)) : []),
    ...publish("finding the bucket", "$JS.API.INFO", `$JS.API.STREAM.INFO.${STREAM}`),
    ...publish(
      reading,
      `$JS.API.CONSUMER.CREATE.${STREAM}.${NOBODY}`,
      `$JS.API.CONSUMER.INFO.${STREAM}.${NOBODY}`,
      `$JS.API.CONSUMER.DELETE.${STREAM}.${NOBODY}`,
      `$JS.FC.${STREAM}.${NOBODY}`,
    ),
    ...publish(config, `$JS.API.STREAM.MSG.GET.${LAYER_STREAM}`),
    ...(signs ? publish(writing, `$JS.API.STREAM.INFO.${LAYER_STREAM}`, LAYER_SUBJECT, LAYER_NEWS) : []),
    ...subscribe("answers", `${inboxOf(name)}.>`),
    ...subscribe("who is there", beatSubject("*")),
    ...subscribe("who asks for that", rollCallSubject("*")),
    ...(calls ? subscribe(lending, offerSubject("*"), askSubject("*")) : []),
    ...(calls || sessions ? subscribe(streams, callSubject("*", name)) : []),
    ...subscribe("news of the fleet's configuration", LAYER_NEWS),
  ];
}

/** What lets a machine lie to the others, or hear what is not for it. */
export function tooMuchFor({ name, signs }: MachineUse): readonly Permission[] {
  const lies = "write under the names of others";
  return [
    { may: "publish", subject: `$KV.${BUCKET}.${NOBODY}`, purpose: lies },
    { may: "publish", subject: beatSubject(NOBODY), purpose: lies },
    { may: "publish", subject: offerSubject(NOBODY), purpose: "offer tools in the names of others" },
    { may: "publish", subject: callSubject(NOBODY, name), purpose: "call in the names of others" },
    { may: "subscribe", subject: `${inboxOf(NOBODY)}.>`, purpose: "hear answers to others" },
    { may: "subscribe", subject: callSubject("*", NOBODY), purpose: "hear calls to others" },
    ...(signs
      ? []
      : [
          {
            may: "publish",
            subject: LAYER_SUBJECT,
            purpose: "write where the fleet's configuration stands",
          } as const,
        ]),
  ];
}
