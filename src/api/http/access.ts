// Credentials of the management API over HTTP: one token, one-time links, and the sessions that either of them opens. Only
// hashes are stored, in memory and in management.json, so that sessions survive a handover.

import { randomBytes, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import {
  choice,
  list,
  matching,
  nullable,
  number,
  object,
  optional,
  type TypeOf,
} from "../../runtime/shape.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { oneByOne } from "../../runtime/time/one-by-one.ts";
import type { OutputOf } from "../operations/operations.ts";

const SECRET_BYTES = 32;
/** Secret scanners recognize the token by this prefix. */
const TOKEN_PREFIX = "mtn_";
export const LINK_LIFE_MS = 60_000;
export const SESSION_LIFE_MS = 12 * 60 * 60_000;
const MOST_LINKS = 16;
const MOST_SESSIONS = 64;

type Session = SignIns["sessions"][number];

interface AccessOptions extends RuntimeTools {
  readonly home: string;
}

/** Shown once, and not stored. */
interface NewSecret {
  readonly secret: string;
  /** When it expires, Unix ms. */
  readonly untilMs: number;
}

export class Access {
  readonly #options: AccessOptions;
  #signIns: SignIns;
  readonly #inTurn = oneByOne();

  private constructor(options: AccessOptions, state: SignIns) {
    this.#options = options;
    this.#signIns = state;
  }

  /** Reads the stored credentials. The caller must have the home's lock. Never rejects. */
  static async open(options: AccessOptions): Promise<Access> {
    return new Access(options, await readSignIns(options.home, options.logger));
  }

  /**
   * Makes a new token, and ends the sessions of the previous one. Rejects with `home_unwritable`; then the
   * previous token stays valid.
   */
  async makeToken(): Promise<OutputOf<"makeToken">> {
    const before = this.#signIns;
    const token = `${TOKEN_PREFIX}${randomBytes(SECRET_BYTES).toString("base64url")}`;
    const sessions = before.sessions.filter(({ by }) => by !== "token");
    await this.#keepOrUndo({ ...before, sessions, token_sha256: sha256Of(token) });
    return { token, replaced: before.token_sha256 !== null };
  }

  /** Removes the token, and ends its sessions. Rejects with `home_unwritable`; then the token stays valid. */
  async forgetToken(): Promise<OutputOf<"forgetToken">> {
    const before = this.#signIns;
    const sessions = before.sessions.filter(({ by }) => by !== "token");
    await this.#keepOrUndo({ ...before, sessions, token_sha256: null });
    return { forgotten: before.token_sha256 !== null };
  }

  /** When the last of the current sessions and links expires, Unix ms; null without any. */
  untilMs(): number | null {
    const { links, sessions } = this.#unexpired();
    const times = [...links, ...sessions].map(({ until }) => until);
    return times.length === 0 ? null : Math.max(...times);
  }

  get hasSessions(): boolean {
    return this.#unexpired().sessions.length > 0;
  }

  /** The port of the page's own listener; null without one. */
  get pagePort(): number | null {
    return this.#signIns.page_port ?? null;
  }

  async keepPagePort(port: number | null): Promise<void> {
    if (port === this.pagePort) return;
    const { page_port: _, ...others } = this.#signIns;
    await this.#keep(port === null ? others : { ...others, page_port: port });
  }

  async makeLink(): Promise<NewSecret> {
    const made = this.#newSecret(LINK_LIFE_MS);
    const links = [...this.#unexpired().links, { sha256: sha256Of(made.secret), until: made.untilMs }];
    await this.#keep({ ...this.#signIns, links: links.slice(-MOST_LINKS) });
    return made;
  }

  isToken(text: string): boolean {
    const { token_sha256: known } = this.#signIns;
    return known !== null && isSame(sha256Of(text), known);
  }

  /** Exchanges a link's code for a session; null: the code is unknown, used or expired. */
  async redeem(code: string): Promise<NewSecret | null> {
    const hash = sha256Of(code);
    const { links } = this.#unexpired();
    const [found] = links.filter(({ sha256 }) => isSame(hash, sha256));
    if (found === undefined) return null;
    this.#signIns = { ...this.#signIns, links: links.filter((link) => link !== found) };
    return this.#begin("link");
  }

  /** Exchanges the token for a session; null: the token is wrong. */
  async signIn(token: string): Promise<NewSecret | null> {
    return this.isToken(token) ? this.#begin("token") : null;
  }

  /** When the session of this secret expires, Unix ms; null: there is no such session. */
  session(secret: string): number | null {
    return this.#find(secret)?.until ?? null;
  }

  async signOut(secret: string): Promise<void> {
    const found = this.#find(secret);
    if (found === null) return;
    await this.#keep({
      ...this.#signIns,
      sessions: this.#signIns.sessions.filter((session) => session !== found),
    });
  }

  /** Resolves when all changes are written. */
  async saved(): Promise<void> {
    await this.#inTurn(async () => {});
  }

  #find(secret: string): Session | null {
    const hash = sha256Of(secret);
    return this.#unexpired().sessions.find(({ sha256 }) => isSame(hash, sha256)) ?? null;
  }

  async #begin(by: Session["by"]): Promise<NewSecret> {
    const made = this.#newSecret(SESSION_LIFE_MS);
    const session = { sha256: sha256Of(made.secret), until: made.untilMs, by };
    const sessions = [...this.#unexpired().sessions, session].slice(-MOST_SESSIONS);
    await this.#keep({ ...this.#signIns, sessions });
    return made;
  }

  #newSecret(lifeMs: number): NewSecret {
    const secret = randomBytes(SECRET_BYTES).toString("base64url");
    return { secret, untilMs: this.#options.clock.wallMs() + lifeMs };
  }

  #unexpired(): Pick<SignIns, "links" | "sessions"> {
    const nowMs = this.#options.clock.wallMs();
    const lives = ({ until }: { readonly until: number }): boolean => until > nowMs;
    return { links: this.#signIns.links.filter(lives), sessions: this.#signIns.sessions.filter(lives) };
  }

  /**
   * Stores a change. Only logs a failed write, because its only effect is that people have to sign in again
   * after a restart.
   */
  async #keep(state: SignIns): Promise<void> {
    this.#signIns = state;
    await this.#write().catch((error: unknown) =>
      this.#options.logger.warn("management.json cannot be written", { reason: errorText(error) }),
    );
  }

  async #keepOrUndo(state: SignIns): Promise<void> {
    const before = this.#signIns;
    this.#signIns = state;
    try {
      await this.#write();
    } catch (error) {
      this.#signIns = { ...this.#signIns, token_sha256: before.token_sha256 };
      throw new MountaineerError(
        "home_unwritable",
        `management.json cannot be written: ${errorText(error)}`,
        {
          hint: "free some space, or make the home yours and writable",
          cause: error,
        },
      );
    }
  }

  /** Writes the present state to management.json, after the writes that began earlier. */
  #write(): Promise<void> {
    const { home } = this.#options;
    return this.#inTurn(() => writeSignIns(home, this.#signIns));
  }
}

/** Compares two hashes in constant time. Both have 64 hexadecimal digits. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(Buffer.from(one, "latin1"), Buffer.from(other, "latin1"));
}

const sha256 = matching(/^[0-9a-f]{64}$/, "a SHA-256");

const signInsShape = object({
  version: choice("1"),
  /** null without a token. */
  token_sha256: nullable(sha256),
  /** `until`: Unix ms. */
  sessions: list(object({ sha256, until: number, by: choice("link", "token") }), MOST_SESSIONS),
  /** Links that are not used yet. */
  links: list(object({ sha256, until: number }), MOST_LINKS),
  /** The page's port on 127.0.0.1 while the gateway does not listen. */
  page_port: optional(number),
});
type SignIns = TypeOf<typeof signInsShape>;

const NO_SIGN_INS: SignIns = { version: "1", token_sha256: null, sessions: [], links: [] };

function pathIn(home: string): string {
  return join(home, "management.json");
}

/** An unreadable file counts as empty: people sign in again. */
async function readSignIns(home: string, logger: Logger): Promise<SignIns> {
  try {
    const text = await readIfPresent(pathIn(home));
    if (text === null) return NO_SIGN_INS;
    const value: unknown = parseJson(text);
    const fault = signInsShape.faultIn(value);
    if (fault === null) return value as SignIns;
    logger.warn("management.json is not understood; all sessions are signed out", { at: fault.path });
  } catch (error) {
    logger.warn("management.json cannot be read; all sessions are signed out", { reason: errorText(error) });
  }
  return NO_SIGN_INS;
}

/** Writes durably with mode 0600. Rejects with the system's error. */
async function writeSignIns(home: string, state: SignIns): Promise<void> {
  await writeDurably(pathIn(home), `${JSON.stringify(state)}\n`, { mode: 0o600 });
}
