// Where a backend's tokens come from: a person's sign-in, or the gateway's client credentials.
import { errorText, MountaineerError } from "../../../runtime/errors.ts";
import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import type { ResolvedAuth } from "../transports/transport-authorization.ts";
import { failed } from "./bounded-fetch.ts";
import type { BearerChallenge } from "./challenge.ts";
import { findSignInServer } from "./discovery.ts";
import { type Grant, type GrantStore, isUnreadable, isUsable } from "./grant-store.ts";
import { asSignInFailure, type OAuthTools, openOAuth, serversRefusal } from "./oauth-library.ts";
import { machineTokens, renewTokens } from "./token-requests.ts";

export interface CachedToken {
  readonly value: string;
  /** Wall ms. */
  readonly obtainedAtMs: number;
  /** Wall ms; null: unknown. */
  readonly expiresAtMs: number | null;
  readonly isRenewable: boolean;
}

export type TokenOutcome =
  | { readonly kind: "token"; readonly token: CachedToken }
  /** Not signed in. */
  | { readonly kind: "none" }
  /** A person has to sign in again. */
  | { readonly kind: "ended"; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string; readonly hint: string | null };

/**
 * Must not be called again before the last call has settled. Never resolves with the token `replaced`, and rejects
 * only with the signal's reason.
 */
export type TokenSource = (
  replaced: string | null,
  challenge: BearerChallenge | null,
  signal: AbortSignal,
) => Promise<TokenOutcome>;

interface SourceOptions extends RuntimeTools {
  readonly backend: string;
  readonly url: URL;
  readonly auth: ResolvedAuth | null;
}

/** The reason does not show `secrets`, which the server may have repeated in its error. */
function outcomeOf(error: unknown, secrets: readonly (string | null)[] = []): TokenOutcome {
  const reason = withoutSecrets(errorText(error), secrets);
  // An unexpected error must not end the daemon.
  if (!(error instanceof MountaineerError)) return { kind: "failed", reason, hint: null };
  return error.retry === "never" ? { kind: "ended", reason } : { kind: "failed", reason, hint: error.hint };
}

function withoutSecrets(text: string, secrets: readonly (string | null)[]): string {
  const redaction = createRedaction();
  for (const secret of secrets) redaction.redact(secret ?? "");
  return redaction.clean(text);
}

interface GrantSourceOptions extends SourceOptions {
  readonly grants: GrantStore;
}

function createStoredGrant({ backend, logger, grants }: GrantSourceOptions) {
  /** A renewed grant that could not be stored, and the stored access token that it replaces. */
  let unsaved: { readonly grant: Grant; readonly replaces: string } | null = null;

  const save = async (grant: Grant, replaces: string, signal: AbortSignal): Promise<void> => {
    try {
      await grants.write(backend, grant, signal);
      unsaved = null;
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      logger.error("a renewed token cannot be saved yet", { backend, reason: error.message });
      unsaved = { grant, replaces };
    }
  };

  return {
    save,
    async read(signal: AbortSignal): Promise<Grant | null> {
      const stored = await grants.read(backend, signal);
      if (unsaved === null) return stored;
      // A sign-in or another process has stored another grant.
      if (stored?.accessToken !== unsaved.replaces) {
        unsaved = null;
        return stored;
      }
      const { grant } = unsaved;
      await save(grant, stored.accessToken, signal);
      return grant;
    },
  };
}

/** This many refusals in a row end a login, although each might pass: with one a minute, after five hours. */
const MOST_REFUSALS = 300;

export function createGrantSource(options: GrantSourceOptions): TokenSource {
  const { backend, url, auth, clock, logger, grants } = options;
  const { read, save } = createStoredGrant(options);
  let refusals = 0;

  const renew = async (grant: Grant, signal: AbortSignal): Promise<TokenOutcome> => {
    // This note lets the next process see that the renewal was interrupted.
    await grants.write(backend, { ...grant, renewingSinceMs: clock.wallMs() }, signal);
    const tools = await openOAuth({ server: url, clock, signal });
    const { oauth } = tools;
    try {
      const tokens = await renewTokens(grant, auth, tools);
      refusals = 0;
      const next: Grant = {
        ...grant,
        ...tokens,
        refreshToken: tokens.refreshToken ?? grant.refreshToken,
        obtainedAtMs: clock.wallMs(),
        renewingSinceMs: null,
      };
      await save(next, grant.accessToken, signal);
      logger.info("a server's token was renewed", { backend });
      return { kind: "token", token: cachedFrom(next) };
    } catch (error) {
      const secrets = [
        grant.accessToken,
        grant.refreshToken,
        grant.client.secret,
        auth?.clientSecret ?? null,
      ];
      const refusal = serversRefusal(oauth, error);
      refusals = refusal === null ? 0 : refusals + 1;
      if (refusal === null || (refusal.mayPass && refusals < MOST_REFUSALS)) {
        const hint = refusal === null ? undefined : "if it stays so, sign in again";
        return outcomeOf(asSignInFailure(oauth, error, grant.issuer, hint), secrets);
      }
      const was = grant.renewingSinceMs === null ? "" : "; an earlier renewal was interrupted";
      const message = `${grant.issuer} does not renew the login: ${refusal.text}${was}`;
      const reason = withoutSecrets(message, secrets);
      await grants.write(backend, { ...grant, renewingSinceMs: null, ended: reason }, signal);
      return { kind: "ended", reason };
    }
  };

  /** Returns null if the token has to be renewed. */
  const known = (grant: Grant | null, replaced: string | null): TokenOutcome | null => {
    if (grant === null || grant.serverUrl !== url.href) return { kind: "none" };
    const isValid = isUsable(grant, clock.wallMs());
    if (isValid && grant.accessToken !== replaced) {
      return { kind: "token", token: cachedFrom(grant) };
    }
    if (grant.ended !== null) return { kind: "ended", reason: grant.ended };
    if (grant.client.source === "configured" && grant.client.id !== auth?.clientId) {
      return { kind: "ended", reason: "the login belongs to another `client_id` than the configured one" };
    }
    if (grant.refreshToken !== null) return null;
    const why = isValid ? "its token is refused" : "its token has expired";
    return { kind: "ended", reason: `${why}, and ${grant.issuer} gave nothing to renew it with` };
  };

  return async (replaced, _challenge, signal) => {
    try {
      const outcome = known(await read(signal), replaced);
      if (outcome !== null) return outcome;
      return await grants.exclusively(backend, signal, async () => {
        const grant = await read(signal);
        return known(grant, replaced) ?? (grant === null ? { kind: "none" } : await renew(grant, signal));
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!isUnreadable(error)) return outcomeOf(error);
      return { kind: "ended", reason: `the stored login cannot be read: ${error.message}` };
    }
  };
}

function cachedFrom(grant: Grant): CachedToken {
  const { accessToken: value, obtainedAtMs, expiresAtMs, refreshToken, ended } = grant;
  return { value, obtainedAtMs, expiresAtMs, isRenewable: refreshToken !== null && ended === null };
}

/** Creates the source of tokens for client credentials. These tokens are never stored. */
export function createMachineSource(options: SourceOptions & { readonly auth: ResolvedAuth }): TokenSource {
  const { url, auth, clock } = options;
  return async (_replaced, challenge, signal) => {
    let tools: OAuthTools | null = null;
    try {
      tools = await openOAuth({ server: url, clock, signal });
      const server = await findSignInServer(tools, {
        server: url,
        challenge,
        issuer: auth.issuer,
        resource: auth.resource,
      });
      if (server.isGuessed) throw failed("never", `${url.origin} does not advertise a sign-in server`);
      const scopes = auth.scopes ?? challenge?.scopes ?? server.scopesSupported;
      const tokens = await machineTokens(server, auth, scopes, tools);
      const { accessToken: value, expiresAtMs } = tokens;
      const obtainedAtMs = clock.wallMs();
      return { kind: "token", token: { value, obtainedAtMs, expiresAtMs, isRenewable: true } };
    } catch (error) {
      signal.throwIfAborted();
      const failure = tools === null ? error : asSignInFailure(tools.oauth, error, url.origin);
      // No person signs in for a machine, so every failure is tried again.
      const hint = failure instanceof MountaineerError ? failure.hint : null;
      return {
        kind: "failed",
        reason: withoutSecrets(errorText(failure), [auth.clientSecret, auth.privateKey]),
        hint: hint ?? "check `client_id` and its secret or key in `[backends.NAME.auth]`",
      };
    }
  };
}
