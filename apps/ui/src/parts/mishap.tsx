import { Component, type ReactNode } from "react";

interface MishapState {
  readonly error: Error | undefined;
}

/** Instead of a blank page: what happened, and how to go on with what was typed. */
export class Mishap extends Component<{ readonly children: ReactNode }, MishapState> {
  override state: MishapState = { error: undefined };

  static getDerivedStateFromError(error: Error): MishapState {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return (
      <main className="mishap">
        <div role="alert">
          <h1>This page made a mistake</h1>
          <p>{error.message}</p>
        </div>
        <p>The address above still says what you looked at. Nothing in the cluster was changed.</p>
        <button type="button" onClick={() => this.setState({ error: undefined })}>
          Go on
        </button>{" "}
        <button type="button" onClick={() => location.reload()}>
          Load the page again
        </button>
      </main>
    );
  }
}
