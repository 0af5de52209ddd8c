// The NATS subjects of a fleet. The server's permissions for each machine are lists of these subjects.

/** The KV bucket of summaries; each machine writes the key of its name. */
export const BUCKET = "mountaineer_fleet";
export const STREAM = `KV_${BUCKET}`;

/**
 * The prefix of subjects for answers. Each machine has its own, so a server can hide a machine's answers from
 * all others.
 */
export function inboxOf(name: string): string {
  return `_INBOX.${name}`;
}

// In the subjects below, "*" in place of the sender's name matches all machines.

function subjectOf(sender: string, kind: string): string {
  return `mountaineer.fleet.${sender}.${kind}`;
}

export function senderOf(subject: string): string {
  return subject.split(".")[2] ?? "";
}

/** A machine asks all others for a beat. */
export function rollCallSubject(name: string): string {
  return subjectOf(name, "rollcall");
}

/** A sign of life, sent regularly. */
export function beatSubject(name: string): string {
  return subjectOf(name, "beat");
}

/** The subject for the backends that a machine offers to other machines. */
export function offerSubject(name: string): string {
  return subjectOf(name, "offer");
}

/** The subject on which a machine asks all others for their offers. */
export function requestSubject(name: string): string {
  return subjectOf(name, "ask");
}

/** Frames from one machine to another. Because the subject names the sender, a server can prevent forgeries. */
export function callSubject(from: string, to: string): string {
  return subjectOf(from, `call.${to}`);
}

/** The server reports here that frames for the machine `to` have no subscriber. */
export function unheardInbox(name: string, to: string): string {
  return `${inboxOf(name)}.calls.${to}`;
}
