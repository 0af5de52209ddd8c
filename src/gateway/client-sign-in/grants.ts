// The grants that people gave to client programs: a client acts as one user, at one address, within limits. Only digests of tokens
// are stored. A token's successor is derived from the token, so that a repeated refresh gets the same one.

import { createHmac, randomBytes } from "node:crypto";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Logger } from "../../runtime/log/log.ts";
import {
  flag,
  list,
  nullable,
  number,
  object,
  optional,
  reader,
  type TypeOf,
  text,
} from "../../runtime/shape.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { oneByOne } from "../../runtime/time/one-by-one.ts";
import type { StoredPins } from "../pins/pin-store.ts";

const DAY_MS = 24 * 60 * 60_000;
const UNUSED_LIFE_MS = 90 * DAY_MS;
const ACCESS_LIFE_MS = 60 * 60_000;
/**
 * How long a refresh token that was exchanged is accepted again: several processes of a client may share it. Programs were seen to
 * send it again for 76 s.
 */
const REPEAT_MS = 120_000;
const MOST_OF_USER = 100;
/** Access tokens of one grant that are valid at once. */
const MOST_ACCESS = 32;
/** How far a refresh token may be behind the newest and still count as one of its grant. */
const MOST_GENERATIONS = 500;
const READ_AGAIN_MS = 30_000;

const tokenShape = object({ sha256: text, until: number });
const grantShape = object({
  id: text,
  /** A user in the file. `entry` identifies the user's entry by a token: a later entry of the same name has no grants. */
  user: text,
  entry: text,
  /** Absent: the user gave it, by that token. */
  by_owner: optional(flag),
  client: object({
    id_sha256: text,
    /** What the client calls itself. */
    name: text,
    answers_to: text,
  }),
  /** The only address at which the tokens are accepted. */
  resource: text,
  /** null: all servers that the user may use. */
  backends: nullable(list(text)),
  read_only: flag,
  /** Unix ms, as all times here. */
  created_at: number,
  used_at: number,
  refresh: object({ sha256: text, before: nullable(object({ sha256: text, at: number })) }),
  access: list(tokenShape),
});
export type Grant = Readonly<TypeOf<typeof grantShape>>;
export type GrantLimits = Pick<Grant, "backends" | "read_only">;
export type GrantOrigin = Pick<Grant, "user" | "entry" | "by_owner">;
export type NewGrant = GrantOrigin & Pick<Grant, "client" | "resource" | "backends" | "read_only">;
const storedGrants = reader(object({ grants: list(grantShape) }));

export interface Tokens {
  readonly access: string;
  readonly refresh: string;
  readonly expiresInSecs: number;
}

export type Refreshed =
  | { readonly kind: "tokens"; readonly grant: Grant; readonly tokens: Tokens }
  | { readonly kind: "refused" | "reused" | "other_resource"; readonly user: string | null };

export interface GrantStore {
  /** False while another process writes. Absent: true. */
  readonly isOurs?: boolean;
  /** Whether anything was ever stored. Asks no keyring. */
  exists(): Promise<boolean>;
  read(): Promise<StoredPins>;
  write(value: unknown): Promise<void>;
  /** The store's key in hexadecimal. */
  secret(): Promise<string | null>;
}

interface GrantsOptions {
  readonly clock: Pick<Clock, "wallMs" | "monotonicMs">;
  readonly logger: Logger;
  /** Absent: there are no grants. */
  readonly store?: GrantStore | undefined;
}

export class Grants {
  /** Called when a grant has begun, ended or changed its limits. */
  onChanged = (): void => {};
  /** Whether the grant's user still has the entry for which it was given. */
  isOfUser = (_grant: GrantOrigin): boolean => false;
  /** The reason why the grants cannot be written; null: they are. */
  unsavedBecause: string | null = null;
  readonly #options: GrantsOptions;
  #grants: ReadonlyMap<string, Grant> = new Map();
  #byAccess: ReadonlyMap<string, { readonly id: string; readonly until: number }> = new Map();
  #isRead = false;
  #readAtMs = Number.NEGATIVE_INFINITY;
  readonly #inTurn = oneByOne();
  #key: Buffer | null = null;

  constructor(options: GrantsOptions) {
    this.#options = options;
  }

  /** The present grants, oldest first. */
  get list(): readonly Grant[] {
    return [...this.#grants.values()].filter((grant) => this.#isAlive(grant));
  }

  get isRead(): boolean {
    return this.#isRead;
  }

  find(id: string): Grant | null {
    const found = this.#grants.get(id);
    return found !== undefined && this.#isAlive(found) ? found : null;
  }

  /** Reads the stored grants, unless that was done; while the keyring does not answer, at most every 30 s. Never rejects. */
  load(): Promise<void> {
    return this.#inTurn(async () => {
      const { clock, logger, store } = this.#options;
      if (this.#isRead || clock.monotonicMs() - this.#readAtMs < READ_AGAIN_MS) return;
      this.#readAtMs = clock.monotonicMs();
      const stored = (await store?.exists()) === true ? await store?.read() : undefined;
      if (stored?.kind === "unanswered") {
        logger.warn("the grants of clients cannot be read", { reason: stored.reason });
        return;
      }
      const read = stored?.kind === "stored" ? storedGrants(stored.value) : { grants: [] };
      const fault =
        stored?.kind === "untrusted" ? stored.reason : read === null ? "they are not understood" : null;
      if (fault !== null) logger.warn("the grants of clients are lost: clients ask again", { reason: fault });
      const grants = read?.grants ?? [];
      // From now on, `entryOf` answers at once.
      if (grants.length > 0) await this.keyFor("entry");
      this.#isRead = true;
      this.#publish(grants);
    });
  }

  /** Reads the grants that another daemon wrote last, if this one has read some. */
  reload(): Promise<void> {
    if (!this.#isRead) return Promise.resolve();
    this.#isRead = false;
    this.#readAtMs = Number.NEGATIVE_INFINITY;
    return this.load();
  }

  /** Derives a key for one purpose. Rejects with `secret_unavailable`. */
  async keyFor(purpose: string): Promise<Buffer> {
    if (this.#key === null) {
      const key = await this.#options.store?.secret();
      if (typeof key !== "string")
        throw new MountaineerError("secret_unavailable", "the key of the grants cannot be read");
      this.#key = Buffer.from(key, "hex");
    }
    return createHmac("sha256", this.#key).update(purpose).digest();
  }

  /** Identifies an entry of the file by its name and token. null: the key is not known, so there are no grants. */
  entryOf(name: string, tokenSha256: string): string | null {
    if (this.#key === null) return null;
    return createHmac("sha256", this.#key)
      .update(JSON.stringify(["entry", name, tokenSha256]))
      .digest("hex");
  }

  /** The grant of an access token that is valid now; null: there is none. */
  byAccess(token: Buffer): Grant | null {
    const found = this.#byAccess.get(sha256Of(token));
    return found === undefined || found.until <= this.#options.clock.wallMs() ? null : this.find(found.id);
  }

  /** Begins a grant. Of too many of one user, the one that was not used for longest ends. Rejects if it cannot be written. */
  begin(given: NewGrant): Promise<Tokens> {
    return this.#inTurn(async () => {
      const nowMs = this.#options.clock.wallMs();
      const id = randomBytes(6).toString("hex"); // Typed in commands, so it begins with no dash.
      const first = randomBytes(32).toString("base64url");
      const { access, tokens } = await this.#derive(id, first);
      const refresh = { sha256: sha256Of(first), before: null };
      const times = { created_at: nowMs, used_at: nowMs };
      const own = this.list
        .filter(({ user }) => user === given.user)
        .toSorted((a, b) => a.used_at - b.used_at);
      const evicted = new Set(own.slice(0, Math.max(0, own.length + 1 - MOST_OF_USER)));
      const others = this.list.filter((grant) => !evicted.has(grant));
      await this.#keep([...others, { ...given, id, ...times, refresh, access: [access] }]);
      this.onChanged();
      return { ...tokens, refresh: tokenOf(id, first) };
    });
  }

  /**
   * Exchanges a refresh token: the answer is written before it resolves. One that was exchanged before gets the same answer for
   * two minutes, until its successor is exchanged; after that it ends the grant. Rejects if it cannot be written: nothing has changed.
   */
  refresh(token: string, clientId: string, resource: string | null): Promise<Refreshed> {
    return this.#inTurn(async () => {
      const found = await this.#grantOf(token);
      if (found === null || found.grant.client.id_sha256 !== sha256Of(clientId))
        return { kind: "refused", user: null };
      const { grant, secret } = found;
      const { user, refresh } = grant;
      if (!this.isOfUser(grant)) return { kind: "refused", user };
      if (resource !== null && resource !== grant.resource) return { kind: "other_resource", user };
      const nowMs = this.#options.clock.wallMs();
      const digest = sha256Of(secret);
      const { tokens, access, next } = await this.#derive(grant.id, secret);
      if (digest === refresh.sha256) {
        const valid = grant.access.filter(({ until }) => until > nowMs).slice(1 - MOST_ACCESS);
        const renewed = { sha256: sha256Of(next), before: { sha256: digest, at: nowMs } };
        await this.#replace({ ...grant, used_at: nowMs, refresh: renewed, access: [...valid, access] });
        return { kind: "tokens", grant, tokens };
      }
      const { before } = refresh;
      const isRepeated = before?.sha256 === digest && Math.abs(nowMs - before.at) < REPEAT_MS;
      if (isRepeated) return { kind: "tokens", grant, tokens };
      await this.#end([grant]);
      return { kind: "reused", user };
    });
  }

  /** Ends the grant of a refresh or access token of the client; null: there is none. */
  revoke(token: string, clientId: string): Promise<Grant | null> {
    return this.#inTurn(async () => {
      const grant = this.byAccess(Buffer.from(token)) ?? (await this.#grantOf(token))?.grant ?? null;
      if (grant === null || grant.client.id_sha256 !== sha256Of(clientId)) return null;
      await this.#end([grant]);
      return grant;
    });
  }

  /** Ends the grants at once. Rejects if that cannot be written: after a restart they would be back. */
  end(ids: readonly string[]): Promise<readonly Grant[]> {
    return this.#inTurn(async () => {
      const ended = this.list.filter(({ id }) => ids.includes(id));
      await this.#end(ended);
      return ended;
    });
  }

  /** Makes the grants' limits stricter. */
  narrow(ids: readonly string[], { backends, read_only }: GrantLimits): Promise<readonly Grant[]> {
    return this.change(ids, (grant) => {
      const own = grant.backends;
      const both = backends === null ? own : backends.filter((name) => own?.includes(name) !== false);
      return { backends: both, read_only: grant.read_only || read_only };
    });
  }

  /** Changes the grants that exist, and resolves with them. */
  change(ids: readonly string[], changed: (grant: Grant) => Partial<Grant>): Promise<readonly Grant[]> {
    return this.#inTurn(async () => {
      const others = this.list.filter(({ id }) => !ids.includes(id));
      const own = this.list
        .filter(({ id }) => ids.includes(id))
        .map((grant) => ({ ...grant, ...changed(grant) }));
      if (own.length > 0) await this.#keep([...others, ...own]);
      this.onChanged();
      return own;
    });
  }

  /** Ends the grants of users whose entry in the file is gone: made again, it would be another one. */
  endOrphans(isGone: (grant: Grant) => boolean): void {
    const gone = this.#options.store?.isOurs === false ? [] : this.list.filter(isGone);
    // If it cannot be written, a condition says so, and the entry is compared again after a restart.
    if (gone.length > 0) this.end(gone.map(({ id }) => id)).catch(() => {});
  }

  #isAlive({ used_at }: Grant): boolean {
    return this.#options.clock.wallMs() - used_at < UNUSED_LIFE_MS;
  }

  /** The grant of a refresh token, also of one that was exchanged before; null: the token was never given. */
  async #grantOf(token: string): Promise<{ readonly grant: Grant; readonly secret: string } | null> {
    const [, id = "", secret = ""] = /^mtr_([\w-]{12})_([\w-]{43})$/.exec(token) ?? [];
    const grant = this.find(id);
    if (grant === null) return null;
    const key = await this.keyFor("refresh");
    let later = secret;
    for (let generation = 0; generation < MOST_GENERATIONS; generation += 1) {
      if (sha256Of(later) === grant.refresh.sha256) return { grant, secret };
      later = derived(key, id, later);
    }
    return null;
  }

  /** What a refresh token is exchanged for. */
  async #derive(id: string, secret: string) {
    const nowMs = this.#options.clock.wallMs();
    const next = derived(await this.keyFor("refresh"), id, secret);
    const access = `mta_${derived(await this.keyFor("access"), id, secret)}`;
    const digest = sha256Of(access);
    const until = this.#byAccess.get(digest)?.until ?? nowMs + ACCESS_LIFE_MS;
    const expiresInSecs = Math.max(1, Math.floor((until - nowMs) / 1_000));
    const tokens: Tokens = { access, refresh: tokenOf(id, next), expiresInSecs };
    return { next, access: { sha256: digest, until }, tokens };
  }

  async #end(ended: readonly Grant[]): Promise<void> {
    if (ended.length === 0) return;
    const others = this.list.filter((grant) => !ended.includes(grant));
    // A full disk must not keep a grant alive.
    this.#publish(others);
    this.onChanged();
    await this.#keep(others);
  }

  #replace(changed: Grant): Promise<void> {
    return this.#keep(this.list.map((grant) => (grant.id === changed.id ? changed : grant)));
  }

  async #keep(grants: readonly Grant[]): Promise<void> {
    const { store } = this.#options;
    try {
      if (!this.#isRead || store === undefined || store.isOurs === false)
        throw new MountaineerError("secret_unavailable", "the grants are not this daemon's to write now");
      await store.write({ grants });
      this.unsavedBecause = null;
    } catch (error) {
      this.unsavedBecause = errorText(error);
      throw error;
    }
    this.#publish(grants);
  }

  #publish(grants: readonly Grant[]): void {
    this.#grants = new Map(grants.map((grant) => [grant.id, grant]));
    this.#byAccess = new Map(
      grants.flatMap(({ id, access }) => access.map(({ sha256, until }) => [sha256, { id, until }])),
    );
  }
}

function derived(key: Buffer, id: string, secret: string): string {
  return createHmac("sha256", key).update(`${id} ${secret}`).digest("base64url");
}

function tokenOf(id: string, secret: string): string {
  return `mtr_${id}_${secret}`;
}
