import { mkdirSync } from "node:fs";
import { join } from "node:path";
import axe from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

const root = join(import.meta.dirname, "../../..");
/** Kept after the tests, for people to look at. */
const pictureFolder = join(root, ".cache/screenshots");

/** Debian's Chromium, without a window and without looking for anything in the network. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** A tab of its own, and what went wrong in it. */
export class Tab implements AsyncDisposable {
  readonly page: Page;
  readonly errors: string[] = [];
  readonly #context: BrowserContext;

  static async open(
    browser: Browser,
    url: string,
    size = { width: 1_440, height: 900 },
    headers: Record<string, string> = {},
  ): Promise<Tab> {
    const context = await browser.newContext({ viewport: size, acceptDownloads: true, extraHTTPHeaders: headers });
    const tab = new Tab(context, await context.newPage());
    await tab.page.goto(url);
    return tab;
  }

  private constructor(context: BrowserContext, page: Page) {
    this.#context = context;
    this.page = page;
    page.setDefaultTimeout(15_000);
    page.on("pageerror", ({ message }) => void this.errors.push(message));
    page.on("console", (message) => {
      // A backend that is away on purpose shows as failed requests.
      if (message.type() === "error" && !message.text().includes("Failed to load resource")) this.errors.push(message.text());
    });
  }

  async picture(name: string): Promise<void> {
    mkdirSync(pictureFolder, { recursive: true });
    await this.page.screenshot({ path: join(pictureFolder, `${name}.png`) });
  }

  /** What axe finds against WCAG 2.2 AA, each with where it is. */
  async violations(): Promise<readonly string[]> {
    await this.page.evaluate(axe.source);
    const found = await this.page.evaluate(async () => {
      const { axe: checker } = globalThis as unknown as { axe: typeof axe };
      const results = await checker.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
      return results.violations.map(
        ({ id, help, nodes }) =>
          `${id}: ${help} (${nodes
            .slice(0, 3)
            .map(({ target }) => target.join(" "))
            .join("; ")})`,
      );
    });
    return found;
  }

  /** What stands in the editor of policies. */
  async editorText(): Promise<string> {
    return (await this.page.locator(".cm-line").allTextContents()).join("\n");
  }

  /** Of the map: how many cards and lines are drawn. */
  async drawn(): Promise<{ readonly cards: number; readonly edges: number }> {
    const { cards = "0", edges = "0" } = await this.page.locator(".map canvas").evaluate((canvas) => ({ ...canvas.dataset }));
    return { cards: Number(cards), edges: Number(edges) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.close();
  }
}
