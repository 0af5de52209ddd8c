// The shapes of what the management API answers about ways into itself over HTTP, and who may do what there.
import { flag, object, type TypeOf, text } from "../runtime/shape.ts";

/** Who asks for an operation, as far as that decides what is done. */
export interface Rights {
  /** It came over the home's own socket, which the machine's user alone can open. */
  readonly isOwner: boolean;
  /** May change what runs on this machine, and approve what waits. */
  readonly runsCommands: boolean;
}

export const OWNERS_RIGHTS: Rights = { isOwner: true, runsCommands: true };

/** A link that signs one browser in, once. */
export const pageLinkShape = object({
  /** `http://127.0.0.1:9000/#CODE`: browsers keep what stands behind `#` to themselves. */
  url: text,
  expires_at: text,
});

export const serverTokenShape = object({
  /** It is told this once: only its hash is kept. */
  token: text,
  /** There was one before, which opens nothing any more. */
  replaced: flag,
});
export type ServerToken = TypeOf<typeof serverTokenShape>;

export const forgottenTokenShape = object({
  /** False: there was none. */
  forgotten: flag,
});
export type ForgottenToken = TypeOf<typeof forgottenTokenShape>;

export const ownerRightShape = object({
  /** Until when the tab that showed the code may change what runs. */
  until: text,
});
