// Texts as they stand in ordinary calls of tools, none of which is a path: prose, URLs, patterns, code, dates, references.

const WORDS = String.raw`
hello and/or yes/no/maybe n/a 24/7 1/2/2026 2026-01-12T15:00:58Z 3/4 km/h TCP/IP client/server input/output I/O
text/html application/json image/svg+xml audio/* */* http://example.com https://example.com/a/b?c=d/e#f/g
https://example.com/a/../b http://localhost:8080/path/to/thing https://user@example.com/etc/passwd
git://example.com/repo.git git@github.com:owner/repo.git ssh://git@example.com/owner/repo s3://bucket/key/name
postgres://user@db/name ws://127.0.0.1:9000/mcp mailto:a@example.com urn:isbn:0451450523
data:text/plain;base64,SGVsbG8= log://monday notes://today/1 owner/repo @scope/package npm:@types/node@20
feature/login origin/main refs/heads/main refs/tags/v1.2.3 main..feature main...feature/x HEAD~3 HEAD^
HEAD@{upstream} v1.2.3 ^1.2.3 ~1.2.3 ~100 ~=3.2 sha256:0a0a0a **/*.ts *.txt src/**/*.{ts,tsx} !node_modules/**
docs/* {a,b}/c [a-z]/x ^/api/.*$ ^/etc (a|b)/c \d+/\d+ \w+\.\w+ \bword\b \.ts$ \. \s*//.* [^/]+$ (?<=/)x s/a/b/g
a.b.c ... wait... 1..10 </div> <br/> key=value a=/b --flag -rf --output=/dev/stdout $5/month $10 $total % 100%
100%/0% %d/%d %20 a%20b caf%C3%A9 C: C:\Users\me D:/Games \\server\share a\b \n \t dir\file.txt dev/prod
home/garden run/walk lib/index.ts bin/cli test/unit etc tmp home root dev usr opt var München naïve/café 日本語
日本/東京 مرحبا 🙂 🙂/🙃 ½ ℅ a·b x–y user@example.com 12:30 10.0.0.1/24 192.168.0.0/16 ::1/128 fe80::1%eth0
10.0.0.1:8080/x 00:1a:2b:3c:4d:5e 1.5e10 -1 0x1F true null undefined NaN a A z/ x/y/z Q1/Q2 red/green/blue
up/down left/right and/ "quoted" 'quoted/word' <tag> (a/b) [link](http://example.com/x) [link](../README.md)
![image](/images/x.png) require("../x") #!/bin/sh .env.example .5 :root :wq ?q=a/b &amp; !important =A1/B2
=SUM(A1:A3)/2 + - * _ , ; etc/ Point{x,..}
`;

export const ORDINARY_TEXTS: readonly string[] = [
  ...WORDS.trim().split(/\s+/),
  "Hello, world!",
  "his/her work",
  "read and/or write",
  "w/o sugar",
  "01/02/2026 10:30",
  "either / or",
  "a / b / c",
  "application/vnd.api+json; charset=utf-8",
  "multipart/form-data; boundary=----x",
  "~5 minutes",
  "\\\\",
  "so.. it goes",
  "[1, .., 5]",
  "e.g. this",
  "TODO: fix",
  "// a comment",
  "/// a doc comment",
  "/* a comment */",
  "/** a doc comment */",
  "# Title",
  "## Section / part",
  "- item",
  "* item",
  "> quote",
  "| a | b |",
  "`code`",
  "```js",
  '<div class="a">text</div>',
  '<a href="/index.html">home</a>',
  "SELECT a/b FROM t WHERE c = '/x'",
  "SELECT * FROM users;",
  '{"a": "/etc/passwd"}',
  '{"path": "../x"}',
  '["a/b", "c"]',
  "ls -la /tmp",
  "cat ../notes",
  "cd .. && ls",
  "rm -rf /",
  'echo "hello" > /dev/null',
  "git log --oneline -- src/",
  "find . -name '*.ts'",
  "make -C build all",
  "a & b",
  "a | b",
  "${name}",
  "$HOME sweet home",
  "50% off",
  "name\\nwith escapes",
  "+1 555 0100",
  "(555) 010-0100",
  " leading space",
  "trailing space ",
  "tab\tbetween",
  "`a/b`",
  "see ./README.md",
  "see ../README.md for more",
  "from / to",
  "import x from '../y'",
  "#include <stdio.h>",
  "#!/usr/bin/env node",
  "@media (min-width: 1px)",
  ".class > a",
  ".htaccess rules",
  "line one\nline two",
  "src/main.ts is the entry\nand lib/x.ts the rest",
  "// main.ts\nimport { a } from '../a.ts';\n",
  "/* a */\nbody { margin: 0 }",
  "/**\n * A doc comment, see ../x.\n */\nexport const a = 1;",
  "#!/bin/sh\ncd ..\nls /etc\n",
  "#!/usr/bin/env node\nconst p = '/../x';\n",
  "--- a/src/x.ts\n+++ b/src/x.ts\n@@ -1 +1 @@\n-a\n+b\n",
  "/help\nshows help",
  "# Title\n\nSee [docs](../docs/README.md) and /usr/share/doc.\n",
  "FROM node:20\nCOPY . /app\nWORKDIR /app\n",
  "all:\n\tcp ../x /usr/local/bin/\n",
  "x = 'a'\n  + '/../b'",
  '{\n  "paths": ["/etc/passwd", "../x"]\n}',
  "~/.bashrc\n~/.profile sets it",
];
