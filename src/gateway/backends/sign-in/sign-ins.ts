// The tokens of all backends, each shared by its links, and what is wrong with them.
import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { SecretStore } from "../../../secrets/secret-store.ts";
import type { LinkAuthorization, ResolvedAuth, SignInNotice } from "../links/link-authorization.ts";
import { isSafeForTokens } from "./addresses.ts";
import { type GrantStore, openGrantStore } from "./grant-store.ts";
import { TokenKeeper } from "./token-keeper.ts";
import { createGrantSource, createMachineSource } from "./token-source.ts";

/** What signing in needs of the home. */
export interface SignInHome {
  /** Absolute. */
  readonly home: string;
  /** Called when there is a grant to read, and not before. */
  readonly openStore: () => Promise<SecretStore>;
}

interface SignInsOptions extends SignInHome {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** `notice` of that backend is another one. */
  readonly onNotice: (backend: string) => void;
}

interface SignedConnection {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly auth?: ResolvedAuth;
}

interface Kept {
  /** Equal for connections that share their tokens. */
  readonly key: string;
  readonly keeper: TokenKeeper;
}

const MOST_UNUSED = 1_024;

export class SignIns implements Disposable {
  readonly #options: SignInsOptions;
  readonly #grants: GrantStore;
  /** By backend; one for each, but while links of an older configuration still end. */
  readonly #keepers = new Map<string, Kept>();
  readonly #older = new Set<TokenKeeper>();

  constructor(options: SignInsOptions) {
    this.#options = options;
    this.#grants = openGrantStore(options);
  }

  /** For one link of a backend; null: it signs in by its own headers, or no token may go to it. */
  authorize(backend: string, connection: SignedConnection): LinkAuthorization | null {
    const url = URL.parse(connection.url);
    const isByHand = Object.keys(connection.headers).some((name) => name.toLowerCase() === "authorization");
    if (url === null || isByHand || url.username !== "" || !isSafeForTokens(url)) return null;
    return this.#keeper(backend, url, connection.auth ?? null).open();
  }

  notice(backend: string): SignInNotice | null {
    return this.#keepers.get(backend)?.keeper.notice ?? null;
  }

  [Symbol.dispose](): void {
    for (const { keeper } of this.#keepers.values()) keeper.end();
    for (const keeper of this.#older) keeper.end();
    this.#keepers.clear();
    this.#older.clear();
  }

  #keeper(backend: string, url: URL, auth: ResolvedAuth | null): TokenKeeper {
    const key = JSON.stringify([url.href, auth]);
    const known = this.#keepers.get(backend);
    if (known?.key === key) return known.keeper;
    this.#forgetUnused();
    if (known !== undefined) this.#older.add(known.keeper);
    const keeper = this.#createKeeper(backend, url, auth);
    this.#keepers.set(backend, { key, keeper });
    return keeper;
  }

  #forgetUnused(): void {
    for (const keeper of this.#older) if (!keeper.isUsed) this.#older.delete(keeper);
    // Of backends that are down, and of those that are configured no more.
    if (this.#keepers.size < MOST_UNUSED) return;
    for (const [name, { keeper }] of this.#keepers) if (!keeper.isUsed) this.#keepers.delete(name);
  }

  #createKeeper(backend: string, url: URL, auth: ResolvedAuth | null): TokenKeeper {
    const { clock, logger, random, onNotice } = this.#options;
    const grants = this.#grants;
    const base = { backend, url, clock, logger };
    const isMachine = auth?.type === "client-credentials";
    return new TokenKeeper({
      backend,
      origin: url.origin,
      source: isMachine
        ? createMachineSource({ ...base, auth })
        : createGrantSource({ ...base, auth, grants }),
      isMachine,
      clock,
      logger,
      random,
      keepChallenge: async (challenge) => {
        if (!isMachine) await grants.keepChallenge(backend, url.href, challenge);
      },
      onNotice: () => onNotice(backend),
    });
  }
}
