// Package chat is a chat in rooms behind one Lambda function: who is there, what is said, and how it
// reaches the others.
//
// Everything that happens in a room is an [Entry] of its log: what people say, and that they come, go or
// change their name. An entry's number (seq) follows the one before it without a hole, so a page knows
// what it missed and asks for that. A change of who is there and its entry are one write.
//
// Whoever wrote an entry tries to become the room's courier: a lease in the room's row says who is.
// The courier pushes what is new to all who are there, in order, and several entries at once when
// many speak; the others leave it to the courier and are done. A courier that dies is followed by the
// next who comes once its lease is over, and pages see from the number in a pong that they miss something.
//
// Rows of the one table: a connection (conn#ID), a room (room#NAME, room), its people (room#NAME,
// who#name), its log (log#NAME, seq) and the ids of messages that were accepted (sent#NAME#id), by which a
// message that is sent again is known. Everything goes through [Store], three calls that [DynamoDB] makes
// with AWS's SDK and that tests make on a map. Nothing that must survive is in memory.
package chat
