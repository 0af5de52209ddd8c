// The names under which machines of a fleet tell and hear: what a server permits to each is written in these.

/** The KV bucket of what machines tell of themselves; each writes the key of its name. */
export const BUCKET = "mountaineer_fleet";
/** What JetStream calls it. */
export const STREAM = `KV_${BUCKET}`;

/** Where answers come to: a machine may be kept from listening to those of others. */
export function inboxOf(name: string): string {
  return `_INBOX.${name}`;
}

/** Where a machine asks who is there; "*": where all do. */
export function callSubject(name: string): string {
  return `mountaineer.fleet.${name}.call`;
}

/** Of one machine; "*": of all. */
export function beatSubject(name: string): string {
  return `mountaineer.fleet.${name}.beat`;
}
