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
export function rollCallSubject(name: string): string {
  return `mountaineer.fleet.${name}.rollcall`;
}

/** Where a machine asks that its next key takes the place of its own; "*": where all do. */
export function keySubject(name: string): string {
  return `mountaineer.fleet.${name}.key`;
}

/** Where what is answered to that comes to, and nothing else. */
export function keyInbox(name: string): string {
  return `${inboxOf(name)}.key`;
}

/** Of one machine; "*": of all. */
export function beatSubject(name: string): string {
  return `mountaineer.fleet.${name}.beat`;
}

/** What a machine offers to others; "*": of all. */
export function offerSubject(name: string): string {
  return `mountaineer.fleet.${name}.offer`;
}

/** By which a machine asks who offers something; "*": of all. */
export function askSubject(name: string): string {
  return `mountaineer.fleet.${name}.ask`;
}

/** From one machine to another one: who speaks stands in it, so that a server may see to it that nobody else does. */
export function callSubject(from: string, to: string): string {
  return `mountaineer.fleet.${from}.call.${to}`;
}

/** Where the server says that nobody listens for what was sent to that machine. */
export function unheardInbox(name: string, to: string): string {
  return `${inboxOf(name)}.calls.${to}`;
}
