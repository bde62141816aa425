import type { Entry } from "#test/hostile/forge.ts";

/** One Application that means harm, and what people are told of it. */
export type Row = {
  readonly row: string;
  readonly what: string;
  readonly entries: readonly Entry[];
  readonly source?: object;
  /** Part of the one reason that its status gives; of several limits, whichever is reached first on this machine. */
  readonly because: string | RegExp;
};

const mebibyte = 2 ** 20;
const map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
const chart = (templates: Readonly<Record<string, string>>, more: readonly Entry[] = []): readonly Entry[] => [
  { path: "Chart.yaml", content: "apiVersion: v2\nname: c\nversion: 1.0.0\n" },
  ...Object.entries(templates).map(([name, content]) => ({ path: `templates/${name}`, content })),
  ...more,
];
const lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
/** Nine names for the nine before: 9^levels values once they are followed. */
const aliases = (levels: number): string =>
  [
    `${map}data:`,
    "  a0: &a0 [x, x, x, x, x, x, x, x, x]",
    ...Array.from({ length: levels }, (_, n) => `  a${n + 1}: &a${n + 1} [${Array(9).fill(`*a${n}`).join(", ")}]`),
  ].join("\n");

export const rows: readonly Row[] = [
  { row: "G2", what: "an empty path", entries: [], because: "holds no manifest" },
  {
    row: "G5",
    what: "a file of 2 MB",
    entries: [{ path: "big.yaml", content: "#".repeat(2 * mebibyte) }],
    because: "big.yaml is 2097152 bytes, at most 1 MiB is read",
  },
  {
    row: "G5",
    what: "20,000 files",
    entries: Array.from({ length: 20_000 }, (_, n) => ({ path: `${n}.yaml`, content: map })),
    because: "20000 files, at most 10000 are read",
  },
  {
    row: "G5",
    what: "a manifest 600 folders deep",
    entries: [{ path: `${"d/".repeat(600)}a.yaml`, content: map }],
    because: "at most 1024 are read",
  },
  {
    row: "G5",
    what: "33 MB in small files",
    entries: Array.from({ length: 40 }, (_, n) => ({ path: `${n}.yaml`, content: `${map}#${"x".repeat(900_000)}` })),
    because: "at most 32 MiB are read; the largest is",
  },
  {
    row: "G7",
    what: "a submodule",
    entries: [
      { path: "a.yaml", content: map },
      { path: "vendor", mode: "160000" },
    ],
    because: "vendor is a submodule",
  },
  {
    row: "G8",
    what: "a link to /etc/passwd",
    entries: [{ path: "a.yaml", mode: "120000", content: "/etc/passwd" }],
    because: "a.yaml is a symbolic link",
  },
  {
    row: "G8",
    what: "a link in a chart's templates",
    entries: chart({}, [{ path: "templates/a.yaml", mode: "120000", content: "../../../../../etc/passwd" }]),
    because: "templates/a.yaml is a symbolic link",
  },
  {
    row: "G9",
    what: "an LFS pointer as a manifest",
    entries: [{ path: "a.yaml", content: lfs }],
    because: "a.yaml is a Git LFS pointer",
  },
  {
    row: "G9",
    what: "an LFS pointer that a kustomization reads",
    entries: [
      { path: "kustomization.yaml", content: "configMapGenerator: [{name: a, files: [logo.bin]}]\n" },
      { path: "logo.bin", content: lfs },
    ],
    because: "logo.bin is a Git LFS pointer",
  },
  {
    row: "G10",
    what: "a manifest that is not UTF-8",
    entries: [{ path: "a.yaml", content: Uint8Array.of(0x61, 0x3a, 0x20, 0xff, 0xfe) }],
    because: "a.yaml:1: is not UTF-8 text",
  },
  {
    row: "G10",
    what: "a NUL in a manifest",
    entries: [{ path: "a.yaml", content: `${map}data: {x: "\u0000"}\n` }],
    because: "a.yaml:",
  },
  {
    row: "G10",
    what: "a name that is not UTF-8",
    entries: [{ path: "\\377.yaml", content: map }],
    because: "its name is not UTF-8 text",
  },
  {
    row: "G10",
    what: "a name with a carriage return",
    entries: [{ path: "a\\r.yaml", content: map }],
    because: "its name holds a control character",
  },
  {
    row: "Y8",
    what: "an alias bomb of 9^9",
    entries: [{ path: "a.yaml", content: aliases(9) }],
    because: "holds more than 1000000 values once its aliases are followed",
  },
  {
    row: "Y8",
    what: "an alias bomb of 9^40",
    entries: [{ path: "a.yaml", content: aliases(40) }],
    because: "holds more than 1000000 values once its aliases are followed",
  },
  {
    row: "Y9",
    what: "an alias to itself",
    entries: [{ path: "a.yaml", content: `${map}data: &a {x: *a}\n` }],
    because: "a.yaml:",
  },
  {
    row: "Y10",
    what: "20,000 levels",
    entries: [{ path: "a.yaml", content: "[".repeat(20_000) }],
    because: "a.yaml:1:",
  },
  {
    row: "Y14",
    what: "14 MB of empty objects",
    entries: Array.from({ length: 14 }, (_, n) => ({
      path: `${n}.yaml`,
      content: `apiVersion: example.dev/v1\nkind: Widget\nmetadata: {name: a${n}}\nspec: [${Array(330_000).fill("{}").join(",")}]\n`,
    })),
    because: /bundle is .* at most 10 MiB|rendering (needs|takes) more than/,
  },
  {
    row: "G6",
    what: "a chart that gives more than 32 MB",
    entries: chart({ "a.yaml": `${map}data:\n  x: "{{ range until 400 }}{{ repeat 100000 "x" }}{{ end }}"\n` }),
    because: /helm (gives more than 32 MB of output|needs more than 2048 MB of memory)/,
  },
  {
    row: "G6",
    what: "a chart that gives 1 GB",
    entries: chart({ "a.yaml": `{{ range until 10000 }}{{ repeat 100000 "x" }}{{ end }}` }),
    because: "helm needs more than 2048 MB of memory",
  },
  {
    row: "G6",
    what: "a chart whose template includes itself",
    entries: chart({ "a.yaml": '{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}' }),
    because: "error calling include",
  },
  {
    row: "G6",
    what: "a chart that asks for all memory",
    entries: chart({ "a.yaml": '{{ $x := "x" }}{{ range until 40 }}{{ $x = print $x $x }}{{ end }}{{ len $x }}' }),
    because: "helm needs more than 2048 MB of memory",
  },
  {
    row: "G6",
    what: "a chart that reads the host's files and environment",
    entries: chart({
      "a.yaml": `${map}data:\n  file: {{ .Files.Get "/etc/passwd" | quote }}\n  up: {{ .Files.Get "../../../etc/passwd" | quote }}\n  env: {{ env "PATH" }}\n`,
    }),
    because: 'function "env" not defined',
  },
  {
    row: "G6",
    what: "a chart that looks up names in the network",
    entries: chart({
      "a.yaml": `${map}data: {x: "{{ getHostByName "metadata.google.internal" }}"}\n{{ fail "resolved nothing" }}`,
    }),
    because: "resolved nothing",
  },
  {
    row: "G11",
    what: "a kustomization that runs a program",
    entries: [
      { path: "kustomization.yaml", content: "generators: [g.yaml]\n" },
      {
        path: "g.yaml",
        content:
          'apiVersion: x/v1\nkind: G\nmetadata: {name: g, annotations: {config.kubernetes.io/function: "exec: {path: /bin/sh}"}}\n',
      },
    ],
    because: "external plugins disabled",
  },
  {
    row: "G11",
    what: "a kustomization that fetches",
    entries: [{ path: "kustomization.yaml", content: "resources: ['https://169.254.169.254/latest']\n" }],
    because: "is remote: the hub renders what the commit holds",
  },
  {
    row: "G11",
    what: "a kustomization that leaves the repository",
    entries: [{ path: "kustomization.yaml", content: "resources: ['../../../../etc/passwd']\n" }],
    because: "leads out of the repository",
  },
];
