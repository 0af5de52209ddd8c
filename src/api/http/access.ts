// The ways into the management API over HTTP: one token, links that are good once, and the sessions of people who came by
// either. Only hashes are kept, here and in the home, so that they outlive a handover.
import { randomBytes, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Logger } from "../../runtime/log/log.ts";
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
import type { Clock } from "../../runtime/time/clock.ts";
import type { OutputOf } from "../operations.ts";

const SECRET_BYTES = 32;
/** Scanners for secrets know it by this. */
const TOKEN_PREFIX = "mtn_";
export const LINK_LIFE_MS = 60_000;
export const SESSION_LIFE_MS = 12 * 60 * 60_000;
const MOST_LINKS = 16;
const MOST_SESSIONS = 64;
/** Longer ones are none of ours, and are not hashed. */
const LONGEST_SECRET = 256;

type Session = WaysIn["sessions"][number];

interface AccessOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A secret, told once, and until when it is good. */
interface Given {
  readonly secret: string;
  /** Unix ms. */
  readonly untilMs: number;
}

export class Access {
  readonly #options: AccessOptions;
  #ways: WaysIn;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(options: AccessOptions, ways: WaysIn) {
    this.#options = options;
    this.#ways = ways;
  }

  /** Of a home whose lock is held. Never rejects. */
  static async open(options: AccessOptions): Promise<Access> {
    return new Access(options, await readWaysIn(options.home, options.logger));
  }

  /** Those who signed in by the one before are signed out. Rejects with `home_unwritable`, and it is as before. */
  async makeToken(): Promise<OutputOf<"makeToken">> {
    const before = this.#ways;
    const token = `${TOKEN_PREFIX}${randomBytes(SECRET_BYTES).toString("base64url")}`;
    const sessions = before.sessions.filter(({ by }) => by !== "token");
    await this.#keepOrUndo({ ...before, sessions, token_sha256: sha256Of(token) });
    return { token, replaced: before.token_sha256 !== null };
  }

  /** Likewise. */
  async forgetToken(): Promise<OutputOf<"forgetToken">> {
    const before = this.#ways;
    const sessions = before.sessions.filter(({ by }) => by !== "token");
    await this.#keepOrUndo({ ...before, sessions, token_sha256: null });
    return { forgotten: before.token_sha256 !== null };
  }

  /** Until when the longest of today's sessions and links is good, Unix ms; null: there is none. */
  untilMs(): number | null {
    const { links, sessions } = this.#living();
    const times = [...links, ...sessions].map(({ until }) => until);
    return times.length === 0 ? null : Math.max(...times);
  }

  /** Where the page has an address of its own; null: it has none. */
  get pagePort(): number | null {
    return this.#ways.page_port ?? null;
  }

  async keepPagePort(port: number | null): Promise<void> {
    if (port === this.pagePort) return;
    const { page_port: _, ...others } = this.#ways;
    await this.#keep(port === null ? others : { ...others, page_port: port });
  }

  async makeLink(): Promise<Given> {
    const given = this.#given(LINK_LIFE_MS);
    const links = [...this.#living().links, { sha256: sha256Of(given.secret), until: given.untilMs }];
    await this.#keep({ ...this.#ways, links: links.slice(-MOST_LINKS) });
    return given;
  }

  isToken(text: string): boolean {
    const { token_sha256: known } = this.#ways;
    // Also where there is none, so that it takes the same time.
    return isSame(hashOf(text), known ?? "0".repeat(64)) && known !== null;
  }

  /** A session for who has the code of a link; null: it is not known, was used, or is too old. */
  async redeem(code: string): Promise<Given | null> {
    const hash = hashOf(code);
    const { links } = this.#living();
    const [found] = links.filter(({ sha256 }) => isSame(hash, sha256));
    if (found === undefined) return null;
    this.#ways = { ...this.#ways, links: links.filter((link) => link !== found) };
    return this.#begin("link");
  }

  /** A session for who has the token; null: it is another one. */
  async signIn(token: string): Promise<Given | null> {
    return this.isToken(token) ? this.#begin("token") : null;
  }

  /** Until when the session of this secret lasts, Unix ms; null: there is none. */
  session(secret: string): number | null {
    return this.#find(secret)?.until ?? null;
  }

  /** Returns a check whether the caller is still signed in: by the session of this secret, or by the token (null). */
  stillIn(secret: string | null): () => boolean {
    if (secret === null) {
      const { token_sha256: known } = this.#ways;
      return () => known !== null && this.#ways.token_sha256 === known;
    }
    const found = this.#find(secret);
    return () => found !== null && this.#living().sessions.includes(found);
  }

  async signOut(secret: string): Promise<void> {
    const found = this.#find(secret);
    if (found === null) return;
    await this.#keep({ ...this.#ways, sessions: this.#ways.sessions.filter((session) => session !== found) });
  }

  /** Resolves when the home has all of it. */
  async saved(): Promise<void> {
    await this.#writing;
  }

  #find(secret: string): Session | null {
    const hash = hashOf(secret);
    return this.#living().sessions.find(({ sha256 }) => isSame(hash, sha256)) ?? null;
  }

  async #begin(by: Session["by"]): Promise<Given> {
    const given = this.#given(SESSION_LIFE_MS);
    const session = { sha256: sha256Of(given.secret), until: given.untilMs, by };
    const sessions = [...this.#living().sessions, session].slice(-MOST_SESSIONS);
    await this.#keep({ ...this.#ways, sessions });
    return given;
  }

  #given(lifeMs: number): Given {
    const secret = randomBytes(SECRET_BYTES).toString("base64url");
    return { secret, untilMs: this.#options.clock.wallMs() + lifeMs };
  }

  #living(): Pick<WaysIn, "links" | "sessions"> {
    const nowMs = this.#options.clock.wallMs();
    const lives = ({ until }: { readonly until: number }): boolean => until > nowMs;
    return { links: this.#ways.links.filter(lives), sessions: this.#ways.sessions.filter(lives) };
  }

  /** A home that cannot be written costs no more than signing in anew after a restart. */
  async #keep(ways: WaysIn): Promise<void> {
    this.#ways = ways;
    await this.#write().catch((error: unknown) =>
      this.#options.logger.warn("management.json cannot be written", { reason: errorText(error) }),
    );
  }

  async #keepOrUndo(ways: WaysIn): Promise<void> {
    const before = this.#ways;
    this.#ways = ways;
    try {
      await this.#write();
    } catch (error) {
      this.#ways = { ...this.#ways, token_sha256: before.token_sha256 };
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

  /** Writes the state at the time of its turn. */
  #write(): Promise<void> {
    const { home } = this.#options;
    const mine = this.#writing.then(() => writeWaysIn(home, { ...this.#ways, ...this.#living() }));
    this.#writing = mine.catch(() => {});
    return mine;
  }
}

function hashOf(secret: string): string {
  return sha256Of(secret.length > LONGEST_SECRET ? "" : secret);
}

/** Both 64 hexadecimal digits. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(Buffer.from(one, "latin1"), Buffer.from(other, "latin1"));
}

const sha256 = matching(/^[0-9a-f]{64}$/, "a SHA-256");

const waysInShape = object({
  version: choice("1"),
  /** Of the one token; null: there is none. */
  token_sha256: nullable(sha256),
  /** Of people who are signed in; `until`: Unix ms. */
  sessions: list(object({ sha256, until: number, by: choice("link", "token") }), 64),
  /** Of links that nobody has used yet. */
  links: list(object({ sha256, until: number }), 16),
  /** Where the page is served while the gateway does not listen, on 127.0.0.1. */
  page_port: optional(number),
});
type WaysIn = TypeOf<typeof waysInShape>;

const NO_WAYS_IN: WaysIn = { version: "1", token_sha256: null, sessions: [], links: [] };

function pathIn(home: string): string {
  return join(home, "management.json");
}

/** What cannot be made sense of lets nobody in; then people sign in anew. */
async function readWaysIn(home: string, logger: Logger): Promise<WaysIn> {
  try {
    const text = await readIfPresent(pathIn(home));
    if (text === null) return NO_WAYS_IN;
    const value: unknown = JSON.parse(text);
    const fault = waysInShape.faultIn(value);
    if (fault === null) return value as WaysIn;
    logger.warn("management.json is not understood; nobody is signed in", { at: fault.path });
  } catch (error) {
    logger.warn("management.json cannot be read; nobody is signed in", { reason: errorText(error) });
  }
  return NO_WAYS_IN;
}

/** Durably, readable by its owner alone. Rejects with the system's error. */
async function writeWaysIn(home: string, ways: WaysIn): Promise<void> {
  await writeDurably(pathIn(home), `${JSON.stringify(ways)}\n`, { mode: 0o600 });
}
