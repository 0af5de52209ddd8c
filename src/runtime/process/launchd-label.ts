// The labels of our services on macOS, and whether launchd started this process for one of them.

/** `name`: "mountaineer", or that and a digest for a home that is not at the default path. */
export function launchdLabel(name: string): string {
  return `io.github.${name}`;
}

/**
 * True for all processes of a service: launchd sets `XPC_SERVICE_NAME`, and children inherit it. Programs of a terminal
 * have the terminal's.
 */
export function isOurAgent(environment: Readonly<Record<string, string | undefined>>): boolean {
  const label = environment["XPC_SERVICE_NAME"] ?? "";
  const usual = launchdLabel("mountaineer");
  return label === usual || label.startsWith(`${usual}-`);
}
