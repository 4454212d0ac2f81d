// Package tui shows a Store of flows on a terminal and sends the operator's decisions to a Kernel.
//
//	key, mouse, size ──▶ App.Update ──▶ changes a mode, a query or the cursor; returns at most one Cmd
//	                          │
//	        one Cmd in flight │ runs off the loop: Kernel.Refresh, Kernel.System, Store.View (cost measured)
//	                          ▼
//	                     answerMsg ──▶ App.Update ──▶ next tick after max(refresh, 10 × cost)
//	                          │
//	                     App.View: draws once per change into one reused buffer, else the cached frame
//
// App is the only tea.Model. A mode is one screen or one pop-up; exactly one, the top of the stack, gets the key. Everything
// in App belongs to Bubble Tea's event loop; Cmds get values and return values. Nothing outside calls into the loop: the
// screen pulls, so a slow terminal never holds up the reader of the kernel's events.
//
// The package imports model and Charm's libraries. It opens no socket and never reads the kernel itself.
package tui
