// The program that opens an address on macOS.

export function browserOpenerDarwin(): {
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
} {
  return { program: "/usr/bin/open", env: {} };
}
