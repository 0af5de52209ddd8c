// The proxies that a shell names.

export const PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].flatMap((name) => [
  name,
  name.toLowerCase(),
]);

/** The variables that name a proxy with a user: where its password could be read, they are left out. */
export function proxiesWithLogin(environment: NodeJS.ProcessEnv): readonly string[] {
  return PROXIES.filter((name) => environment[name]?.includes("@") === true);
}
